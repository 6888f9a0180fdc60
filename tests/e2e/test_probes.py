"""Probes of the kubelet where nobody without a certificate is let in: the agent answers them for the application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.conftest import Rules
from e2e.echo.objects import Json, account, deployment
from e2e.mesh_views import findings
from e2e.workloads import printed, workloads
from isthmus.console.demo.stage import PUBLIC, Stage

SHUT = {"story": "probes"}
APPLICATION = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
status = {"/ready": 200}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        said = self.path.split("/")
        if said[1] == "become":
            status["/ready"] = int(said[2])
        self.send_response(status.get(self.path, 200))
        self.end_headers()

ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
BECOME = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/become/{}')"


def probed(app: str, **annotations: str) -> list[Json]:
    """An application that says at /ready what it was told to say, and is asked there by the kubelet."""
    made = deployment(app, ["python3", "-c", APPLICATION], **SHUT)
    template = made["spec"]["template"]
    template["metadata"]["annotations"] = annotations
    (container,) = template["spec"]["containers"]
    del template["spec"]["volumes"], container["volumeMounts"]
    often = {"periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 5}
    container["ports"] = [{"name": "health", "containerPort": 8080}]
    container["startupProbe"] = {"tcpSocket": {"port": "health"}, **often, "failureThreshold": 60}
    container["readinessProbe"] = {"httpGet": {"port": "health", "path": "/ready"}, **often}
    return [account(app), made]


def only_for(principal: str) -> list[Json]:
    """Nobody but `principal` is let in, and nobody without a certificate."""
    chosen = {"selector": {"matchLabels": SHUT}}
    strict = {"kind": "PeerAuthentication", "spec": {**chosen, "mtls": {"mode": "STRICT"}}}
    allow = {
        "kind": "AuthorizationPolicy",
        "spec": {**chosen, "rules": [{"from": [{"source": {"principals": [principal]}}]}]},
    }
    meta = {"name": "probes", "namespace": "default"}
    return [{"apiVersion": "security.istio.io/v1", "metadata": meta, **each} for each in (strict, allow)]


@pytest.fixture(scope="module")
def probing(built: Stage) -> Iterator[Stage]:
    past = {"sidecar.istio.io/rewriteAppHTTPProbers": "false"}
    with workloads(built, {PUBLIC: [*probed("probed"), *probed("past-agent", **past)]}) as stage:
        yield stage


async def is_ready(stage: Stage, app: str) -> bool:
    """Whether the one pod of `app` that is to stay is ready with all its containers."""
    pods = await stage.kubectl(PUBLIC).json("get", "pods", "-l", f"app={app}")
    staying = [each for each in pods["items"] if not each["metadata"].get("deletionTimestamp")]
    conditions = [each for pod in staying for each in pod.get("status", {}).get("conditions", [])]
    return [each["status"] for each in conditions if each["type"] == "Ready"] == ["True"]


async def test_a_pod_gets_and_stays_ready_where_the_kubelet_itself_is_refused(
    probing: Stage, stage: Stage, rules: Rules
) -> None:
    assert await is_ready(stage, "probed")
    assert await is_ready(stage, "past-agent")
    await rules(*only_for("cluster.local/ns/default/sa/bookinfo-productpage"))
    stayed = []

    async def is_refused() -> bool:
        stayed.append(await is_ready(stage, "probed"))
        return not await is_ready(stage, "past-agent")

    assert await stage.until(is_refused, 60), "what the kubelet asks of the application itself is refused"
    assert all(stayed)

    async def is_told() -> bool:
        return any(each["code"] == "ISM0039" for each in await findings(stage))

    assert await stage.until(is_told, 30)
    await stage.kubectl(PUBLIC).run("delete", "pod", "-l", "app=probed", "--wait=true")
    assert await stage.until(lambda: is_ready(stage, "probed"), 60), "a new pod gets ready"


async def test_an_application_that_is_not_well_makes_its_pod_not_ready(
    probing: Stage, stage: Stage, rules: Rules
) -> None:
    await rules(*only_for("cluster.local/ns/default/sa/bookinfo-productpage"))
    assert await stage.until(lambda: is_ready(stage, "probed"), 60)
    for status, ready in ((503, False), (200, True)):
        await printed(stage, PUBLIC, "app=probed", "python3", "-c", BECOME.format(status))

        async def follows(ready: bool = ready) -> bool:
            return await is_ready(stage, "probed") is ready

        assert await stage.until(follows, 30), f"the application answers {status}"
