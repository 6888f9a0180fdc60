"""Routes of the Gateway API for what is not plain HTTP: one Gateway, a listener for each protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.echo.objects import NAMED, of
from e2e.workloads import ask, remove
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.installation import Installation, documents, dump

Json = dict[str, Any]
API = "gateway.networking.k8s.io/v1"
WHERE = "many-istio"


def made(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def route(kind: str, port: str, **more: object) -> Json:
    """All that comes by the listener called `port` goes to that port of echo."""
    rules = [{"backendRefs": [{"name": "echo", "port": NAMED[port]}]}]
    return made(
        kind, f"by-{port}", {"parentRefs": [{"name": "many", "sectionName": port}], "rules": rules, **more}
    )


def objects() -> list[Json]:
    listeners = [
        {"name": "grpc", "port": NAMED["grpc"], "protocol": "HTTP"},
        {"name": "tcp", "port": NAMED["tcp"], "protocol": "TCP"},
        {"name": "tls", "port": NAMED["tls"], "protocol": "TLS", "tls": {"mode": "Passthrough"}},
    ]
    return [
        made("Gateway", "many", {"gatewayClassName": "istio", "listeners": listeners}),
        route("GRPCRoute", "grpc"),
        route("TCPRoute", "tcp"),
        route("TLSRoute", "tls", hostnames=["story.example"]),
    ]


@pytest.fixture
async def many(echo: Stage, stage: Stage) -> AsyncIterator[Stage]:
    """The mesh with that Gateway, ready."""
    public = stage.kubectl(PUBLIC)
    await public.apply(dump(documents("gateway-api", Installation(cluster=PUBLIC))))
    await public.apply(yaml.safe_dump_all(objects()))
    yield stage
    await remove(stage, PUBLIC, objects())
    labels = "gateway.networking.k8s.io/gateway-name=many"
    await public.run("wait", "--for=delete", "pod", "-l", labels, "--timeout=60s")


async def asked(stage: Stage, program: str, what: str, port: str, **how: object) -> list[Json]:
    """What somebody without a sidecar is answered by the Gateway; nothing while there is no answer."""
    where = f"{WHERE}:{NAMED[port]}"
    try:
        found: list[Json] = await ask(stage, program, what, where, json.dumps(how), app="plain")
    except AssertionError:  # its program found no connection
        return []
    return found


async def test_grpc_bytes_and_tls_of_applications_come_in_by_routes_of_their_own(many: Stage) -> None:
    async def calls() -> bool:
        found = await asked(many, "ask_grpc", "Unary", "grpc", text="a", times=20)
        return {of(each["trailers"]["pod"]) for each in found if each["status"] == "OK"} == {"v1", "v2"}

    async def connections(port: str, **how: object) -> bool:
        found = await asked(many, "ask_tcp", "who", port, times=20, **how)
        return {of(each["pod"]) for each in found if each["pod"]} == {"v1", "v2"}

    assert await many.until(calls, 60), "GRPCRoute"
    assert await many.until(lambda: connections("tcp"), 30), "TCPRoute"
    assert await many.until(lambda: connections("tls", tls=True), 30), "TLSRoute"
