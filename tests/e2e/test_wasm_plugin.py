"""A WebAssembly module in a proxy: it comes over ECDS, is fetched by its checksum, and marks what passes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.calls import call
from fakes.wasm_module import adds_header
from isthmus.console.control_plane import access_to, running_pod
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.pods import run

MODULE = adds_header("x-wasm", "passed")
PLACE, PORT = "/tmp/story.wasm", 18999


def plugin(**spec: Any) -> str:
    """For productpage's Envoy, towards reviews."""
    meta = {"name": "story", "namespace": "default"}
    who = {"selector": {"matchLabels": {"app": "productpage"}}}
    match = {"match": [{"mode": "CLIENT", "ports": [{"number": 9080}]}]}
    api = "extensions.istio.io/v1alpha1"
    found = {"apiVersion": api, "kind": "WasmPlugin", "metadata": meta, "spec": {**who, **match, **spec}}
    return yaml.safe_dump(found)


async def in_productpage(stage: Stage, container: str, *command: str) -> str:
    async with Client(access_to(stage.lab.kubeconfig(PUBLIC), None)) as client:
        pod = await running_pod(client, "default", "app=productpage")
        output = await run(client, "default", pod, container, list(command))
    assert output.code == 0, output.stderr.decode()
    return output.stdout.decode()


@pytest.fixture
async def plugged(stage: Stage) -> AsyncIterator[Stage]:
    """The mesh, with the module as a file beside productpage's Envoy; afterwards the plugin is gone."""
    text = base64.b64encode(MODULE).decode()
    await in_productpage(stage, "istio-proxy", "sh", "-c", f"echo {text} | base64 -d > {PLACE}")
    yield stage
    await stage.kubectl(PUBLIC).run("delete", "wasmplugin", "story", "--ignore-not-found")


async def story(stage: Stage) -> set[str | None]:
    """What the module wrote on the answers of reviews; each must be an answer."""
    answers = await call(stage, times=4)
    assert {answer.status for answer in answers} == {200}
    return {answer.headers.get("x-wasm") for answer in answers}


async def test_a_module_from_a_file_marks_the_answers_and_goes_again(plugged: Stage) -> None:
    public = plugged.kubectl(PUBLIC)
    assert await story(plugged) == {None}
    await public.apply(plugin(url=f"file://{PLACE}"))

    async def marked() -> bool:
        return await story(plugged) == {"passed"}

    assert await plugged.until(marked, 30)
    await public.run("delete", "wasmplugin", "story")

    async def unmarked() -> bool:
        return await story(plugged) == {None}

    assert await plugged.until(unmarked, 30)


async def test_a_module_is_fetched_by_its_checksum(plugged: Stage) -> None:
    # What an exec starts ends with it, so this one stays open for the length of the story.
    serve = f"cd /tmp && exec timeout 120 python3 -m http.server --bind 127.0.0.1 {PORT} >/dev/null 2>&1"
    async with supervise(in_productpage(plugged, "istio-proxy", "sh", "-c", serve)):
        digest = hashlib.sha256(MODULE).hexdigest()
        where = f"http://127.0.0.1:{PORT}{PLACE.removeprefix('/tmp')}"

        async def served() -> bool:
            ask = f"curl -s -o /dev/null -w '%{{http_code}}' {where} || true"
            return await in_productpage(plugged, "istio-proxy", "sh", "-c", ask) == "200"

        # What Envoy cannot fetch at once it closes the way for, until it tries again.
        assert await plugged.until(served, 20)
        await plugged.kubectl(PUBLIC).apply(plugin(url=where, sha256=digest))

        async def marked() -> bool:
            return await story(plugged) == {"passed"}

        assert await plugged.until(marked, 60)
