"""Sidecars that are init containers: Jobs are complete, and who drains still calls through his own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from e2e.echo.objects import Json, account, deployment
from e2e.workloads import workloads
from isthmus.console.demo.stage import PUBLIC, Stage

NATIVE = {"sidecar.istio.io/nativeSidecar": "true"}
PRODUCTPAGE = "http://productpage:9080/productpage"
JOB = f"""
import urllib.request
print("status", urllib.request.urlopen({PRODUCTPAGE!r}, timeout=20).status)
"""
DRAINING = f"""
import signal, sys, threading, urllib.request

def last(*_):
    try:
        said = urllib.request.urlopen({PRODUCTPAGE!r}, timeout=20).status
    except OSError as error:
        said = error
    print("at the end", said, flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, last)
print("begun", flush=True)
threading.Event().wait()
"""


def made(app: str, program: str) -> list[Json]:
    one = deployment(app, ["python3", "-c", program])
    template = one["spec"]["template"]
    template["metadata"]["annotations"] = dict(NATIVE)
    (container,) = template["spec"]["containers"]
    del template["spec"]["volumes"], container["volumeMounts"]
    template["spec"]["terminationGracePeriodSeconds"] = 30
    return [account(app), one]


def once(app: str, program: str) -> list[Json]:
    """The same work as a Job."""
    own, one = made(app, program)
    template = one["spec"]["template"]
    template["spec"]["restartPolicy"] = "Never"
    meta = {"name": app, "namespace": "default"}
    return [
        own,
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template}},
    ]


@pytest.fixture(scope="module")
def helped(built: Stage) -> Iterator[Stage]:
    with workloads(built, {PUBLIC: [*once("once", JOB), *made("drains", DRAINING)]}) as stage:
        yield stage


async def test_a_job_calls_through_its_sidecar_and_is_complete(helped: Stage) -> None:
    kubectl = helped.kubectl(PUBLIC)
    await kubectl.run("wait", "--for=condition=complete", "job/once", "--timeout=90s")
    assert "status 200" in await kubectl.run("logs", "job/once", "-c", "once")
    (pod,) = (await kubectl.json("get", "pods", "-l", "job-name=once"))["items"]
    sidecar = {each["name"]: each for each in pod["status"]["initContainerStatuses"]}["istio-proxy"]
    assert (pod["status"]["phase"], sidecar["state"]["terminated"]["exitCode"]) == ("Succeeded", 0)


async def test_an_application_that_drains_still_calls_through_its_sidecar(helped: Stage) -> None:
    kubectl = helped.kubectl(PUBLIC)
    pods = await kubectl.json("get", "pods", "-l", "app=drains")
    pod = pods["items"][0]
    name = pod["metadata"]["name"]
    assert [each["name"] for each in pod["spec"]["containers"]] == ["drains"]
    log = asyncio.create_task(kubectl.run("logs", "--follow", name, "-c", "drains"))

    async def begun() -> bool:
        return "begun" in await kubectl.run("logs", name, "-c", "drains")

    assert await helped.until(begun, 30)
    await kubectl.run("delete", "pod", name, "--wait=true", "--timeout=60s")
    assert "at the end 200" in await log
