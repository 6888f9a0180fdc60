"""What a story brings into the lab for its time: pods with sidecars in either cluster, and rules."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from isthmus.console.control_plane import access_to, running_pod
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.injection import settings_of_cluster
from isthmus.kube.client import Client
from isthmus.kube.pods import run
from isthmus.lab.programs import find_program
from isthmus.sidecar.inject.manifest import inject_manifest

Json = dict[str, Any]
SAMPLES = Path(__file__).parents[2] / "samples"
BOOKINFO = SAMPLES / "bookinfo"
PROGRAMS = Path(__file__).with_name("programs")


def needs(program: str, hint: str) -> None:
    """Skip the story where this machine has no such program."""
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    if not (beside or find_program(program)):
        pytest.skip(f"needs {program} (hint: {hint})")


def sample(name: str) -> list[Json]:
    """The objects of a file of Bookinfo."""
    return [*yaml.safe_load_all((BOOKINFO / f"{name}.yaml").read_text())]


@contextmanager
def workloads(stage: Stage, objects: Mapping[str, Sequence[Json]]) -> Iterator[Stage]:
    """`objects`, by cluster, run with sidecars inside the block; afterwards they are gone."""
    try:
        asyncio.run(_up(stage, objects))
        yield stage
    finally:
        asyncio.run(_down(stage, objects))


async def _up(stage: Stage, objects: Mapping[str, Sequence[Json]]) -> None:
    await asyncio.gather(*(_bring(stage, cluster, each) for cluster, each in objects.items()))


async def _bring(stage: Stage, cluster: str, objects: Sequence[Json]) -> None:
    kubectl = stage.kubectl(cluster)
    for each in objects:
        if each["kind"] == "Deployment":  # stories end at once
            each["spec"]["template"]["spec"].setdefault("terminationGracePeriodSeconds", 1)
    access = access_to(stage.lab.kubeconfig(cluster), None)
    settings = replace(await settings_of_cluster(access), native_sidecars=False)  # but where a pod wants one
    injected = inject_manifest(yaml.safe_dump_all(objects), settings, access.namespace)
    await kubectl.apply(injected.text)
    names = [f"deployment/{each['metadata']['name']}" for each in objects if each["kind"] == "Deployment"]
    if names:
        await kubectl.run("wait", "--for=condition=Available", "--timeout=90s", *names)


async def _down(stage: Stage, objects: Mapping[str, Sequence[Json]]) -> None:
    await asyncio.gather(*(remove(stage, cluster, each) for cluster, each in objects.items()))


async def remove(stage: Stage, cluster: str, objects: Sequence[Json]) -> None:
    """Delete the objects, as far as they are there, and wait for the end of their pods."""
    kubectl = stage.kubectl(cluster)
    if objects:
        text = yaml.safe_dump_all(objects)
        await kubectl.run("delete", "--ignore-not-found", "--wait=true", "-f", "-", stdin=text)
    for each in objects:
        if each["kind"] == "Deployment":
            labels = ",".join(f"{k}={v}" for k, v in each["spec"]["selector"]["matchLabels"].items())
            await kubectl.run("wait", "--for=delete", "pod", "-l", labels, "--timeout=60s")


async def printed(stage: Stage, cluster: str, labels: str, *command: str, container: str = "") -> str:
    """What a command prints in a pod with these labels. It must not fail."""
    async with Client(access_to(stage.lab.kubeconfig(cluster), None)) as client:
        pod = await running_pod(client, "default", labels)
        output = await run(client, "default", pod, container or labels.partition("=")[2], [*command])
    assert output.code == 0, output.stderr.decode()
    return output.stdout.decode()


async def ask(stage: Stage, program: str, *words: str, cluster: str = PUBLIC, app: str = "caller") -> Any:
    """What one of our programs says, as JSON, when it runs in the pod of `app`."""
    return json.loads(
        await printed(stage, cluster, f"app={app}", "python3", f"/programs/{program}.py", *words)
    )


async def access_log(stage: Stage, cluster: str, deployment: str, lines: int = 200) -> list[str]:
    """The last lines of the access log of a deployment's sidecar."""
    log = await stage.kubectl(cluster).run(
        "logs", f"deployment/{deployment}", "-c", "istio-proxy", f"--tail={lines}"
    )
    return log.splitlines()


async def logged(stage: Stage, cluster: str, deployment: str, *words: str) -> bool:
    """Whether a line with all `words` comes into the access log of a deployment's sidecar."""

    async def seen() -> bool:
        lines = await access_log(stage, cluster, deployment)
        return any(all(word in line for word in words) for line in lines)

    return await stage.until(seen, 10)  # Envoy writes its access log out once a second
