"""A canary: a second control plane beside the first, to which a namespace moves, and back, and for good.

Somebody calls all the time, and no call fails: neither while pods are made anew with sidecars of the other revision,
nor while configuration changes, nor when the old revision is taken away.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from e2e.own_lab import own_lab
from isthmus.console.cli import main
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kube.errors import KubeError
from isthmus.lab.spec import TALK, LabSpec

pytestmark = pytest.mark.kube
Json = dict[str, Any]
SPEC = LabSpec(clusters=TALK.clusters[:1])
PLACE, SYSTEM = "shop", "istio-system"
STATUS = "sidecar.istio.io/status"
HELD = {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}  # who calls has a sidecar by then
# Answers until nobody comes any more: its sidecar drains for as long (terminationDrainDuration is 5 s).
SERVE = """
import http.server, signal, threading
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
signal.signal(signal.SIGTERM, lambda *_: threading.Timer(6, lambda: __import__("os")._exit(0)).start())
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Web).serve_forever()
"""
# Calls ten times a second, each on a connection of its own, writes what came of it, and ends when it is told to: the
# first program of a container is not ended by SIGTERM of itself, and would call on after its sidecar has gone.
CALL = """
import http.client, signal, time
signal.signal(signal.SIGTERM, lambda *_: __import__("os")._exit(0))
while True:
    try:
        connection = http.client.HTTPConnection("web", 8080, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        print(answer.status, answer.getheader("x-step", "-"), flush=True)
    except Exception as error:
        print(type(error).__name__, "-", flush=True)
    finally:
        connection.close()
    time.sleep(0.1)
"""


def deployment(name: str, program: str) -> Json:
    labels = {"app": name}
    container: Json = {"name": name, "image": "python:3", "command": ["python3", "-u", "-c", program]}
    if name == "web":
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 15}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": PLACE},
        "spec": {
            "strategy": rolling,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": HELD}, "spec": pod},
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": PLACE},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080}]},
}


def step(name: str) -> Json:
    """A rule by which callers see which configuration they have."""
    headers = {"response": {"set": {"x-step": name}}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": PLACE},
        "spec": {
            "hosts": ["web"],
            "http": [{"route": [{"destination": {"host": "web"}}], "headers": headers}],
        },
    }


class Answer(NamedTuple):
    """What a caller wrote of a call."""

    status: str
    step: str
    by: str
    """The caller's pod."""


class Shop:
    """The namespace, the commands, and who calls."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.kubectl = stage, stage.kubectl(PUBLIC)
        self.answers: list[Answer] = []
        self.over = asyncio.Event()

    async def isthmus(self, *words: str) -> str:
        """What the command prints; it must not fail."""
        asked = [*words, "--kubeconfig", str(self.stage.lab.kubeconfig(PUBLIC))]
        ran = await asyncio.to_thread(CliRunner().invoke, main, asked)
        assert ran.exit_code == 0, f"{' '.join(words)}: {ran.output}"
        return ran.output

    async def install(self, revision: str = "") -> None:
        values = ["--cluster", PUBLIC, "--access-log", "/dev/stdout"]
        more = ["--revision", revision] if revision else []
        await self.isthmus("install", "primary", *values, *more, "--apply", "--timeout", "3m")

    async def made_anew(self) -> None:
        """New pods of who is called and of who calls; the old ones go when the new ones are ready."""
        await self.kubectl.run("-n", PLACE, "rollout", "restart", "deployment")
        for name in ("web", "caller"):
            await self.kubectl.run("-n", PLACE, "rollout", "status", f"deployment/{name}", "--timeout=120s")

    async def revisions(self) -> Counter[str]:
        """How many pods have sidecars of which revision."""
        found: Any = await self.kubectl.json("-n", PLACE, "get", "pods")
        live = [each["metadata"] for each in found["items"] if "deletionTimestamp" not in each["metadata"]]
        return Counter(json.loads(each["annotations"][STATUS])["revision"] for each in live)

    async def are_all_of(self, revision: str) -> bool:
        return set(await self.revisions()) == {revision}

    async def needs_the_old_one_no_more(self) -> bool:
        """Whether nobody asks for it, and the last pods with its sidecars are gone."""
        return "Nobody asks for it" in await self.isthmus("revision", "describe", "default")

    async def listen(self) -> None:
        """Take down what callers are told, whichever pod they are, until all is over."""
        told: dict[str, int] = {}
        while not self.over.is_set():
            pods = await self.kubectl.run("-n", PLACE, "get", "pods", "-l", "app=caller", "-o", "name")
            for pod in pods.split():
                lines = (await self._log(pod)).rpartition("\n")[0].splitlines()  # the last one may go on
                for line in lines[told.get(pod, 0) :]:
                    self.answers.append(Answer(*line.split(" "), by=pod))
                told[pod] = max(len(lines), told.get(pod, 0))
            await asyncio.sleep(0.5)

    async def _log(self, pod: str) -> str:
        try:
            return await self.kubectl.run("-n", PLACE, "logs", pod, "-c", "caller")
        except KubeError:  # it is not there yet, or not any more
            return ""

    async def see(self, name: str) -> bool:
        """Whether callers have the configuration of that step now."""
        return [each.step for each in self.answers[-5:]] == [name] * 5

    async def change(self, name: str) -> None:
        await self.kubectl.apply(yaml.safe_dump(step(name)))
        assert await self.stage.until(lambda: self.see(name), 60), (name, self.answers[-5:])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cluster with a control plane, as `isthmus install --apply` brings it."""

    async def build(stage: Stage) -> None:
        await Shop(stage).install()

    with own_lab(tmp_path_factory.mktemp("canary"), SPEC, build) as stage:
        yield stage


@pytest.fixture
async def shop(alone: Stage) -> AsyncIterator[Shop]:
    """A namespace that asks for tag `prod`, which stands for the old revision; somebody calls all the time."""
    made = Shop(alone)
    await made.isthmus("revision", "tag", "set", "prod", "--revision", "default")
    labels = {"istio.io/rev": "prod"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE, "labels": labels}}
    await made.kubectl.apply(yaml.safe_dump(namespace))
    everything = [SERVICE, deployment("web", SERVE), deployment("caller", CALL)]
    assert await alone.until(lambda: taken(made, everything), 60)
    await made.kubectl.run(
        "-n", PLACE, "wait", "--for=condition=Available", "--timeout=120s", "deployment", "--all"
    )
    async with called(made):
        yield made


async def taken(shop: Shop, objects: list[Json]) -> bool:
    """Whether pods come with sidecars: API servers look at webhooks a moment after they came."""
    await shop.kubectl.apply(yaml.safe_dump_all(objects))
    try:
        return await shop.are_all_of("default")
    except KeyError:  # made before the API server asked
        await shop.kubectl.run("-n", PLACE, "delete", "deployment", "--all", "--wait=true")
        return False


@asynccontextmanager
async def called(shop: Shop) -> AsyncIterator[None]:
    """Answers come, and from then on each counts."""
    listening = asyncio.create_task(shop.listen())
    try:
        await shop.change("begin")
        shop.answers.clear()
        yield
    finally:
        shop.over.set()
        await listening  # a kubectl that is asked yet is not left behind


async def test_a_namespace_moves_to_a_canary_back_and_for_good_and_no_call_fails(shop: Shop) -> None:
    assert await shop.are_all_of("default")
    await shop.install("canary")
    assert await shop.are_all_of("default"), "who is there moves nobody"

    await shop.isthmus("revision", "tag", "set", "prod", "-r", "canary", "--overwrite")
    await shop.made_anew()
    assert await shop.stage.until(lambda: shop.are_all_of("canary"), 60), await shop.revisions()
    await shop.change("moved")

    await shop.isthmus("revision", "tag", "set", "prod", "-r", "default", "--overwrite")
    await shop.made_anew()
    assert await shop.stage.until(lambda: shop.are_all_of("default"), 60), await shop.revisions()
    await shop.change("back")

    for tag in ("prod", "default"):
        await shop.isthmus("revision", "tag", "set", tag, "-r", "canary", "--overwrite")
    await shop.made_anew()
    assert await shop.stage.until(lambda: shop.are_all_of("canary"), 60), await shop.revisions()
    assert await shop.stage.until(shop.needs_the_old_one_no_more, 60)
    await shop.isthmus("uninstall", "primary", "--yes")
    await shop.kubectl.run("-n", SYSTEM, "wait", "--for=delete", "deployment/istiod", "--timeout=90s")
    await shop.change("alone")
    await shop.made_anew()
    assert await shop.are_all_of("canary")

    assert len(shop.answers) > 100
    failed = Counter((each.status, each.step, each.by) for each in shop.answers if each.status != "200")
    assert not failed, f"of {len(shop.answers)}"
