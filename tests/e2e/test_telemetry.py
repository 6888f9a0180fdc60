"""What proxies tell of calls: logs of one workload alone, one trace over both clusters, settings that reach all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.calls import Request, call
from e2e.mesh_views import findings
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

COLLECTOR = """
import http.server, json
SPANS = []
class Collector(http.server.BaseHTTPRequestHandler):
    def body(self):
        if self.headers["content-length"]:
            return self.rfile.read(int(self.headers["content-length"]))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found
    def do_POST(self):
        SPANS.extend(json.loads(self.body()))
        self.send_response(202)
        self.end_headers()
    def do_GET(self):
        body = json.dumps(SPANS).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 9411), Collector).serve_forever()
"""
"""Takes spans in Zipkin's form, and shows all that it got."""
MESH = "configmap/istio"


def telemetry(name: str, namespace: str, **spec: Any) -> str:
    meta = {"name": name, "namespace": namespace}
    return yaml.safe_dump(
        {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": meta, "spec": spec}
    )


async def mesh_config(stage: Stage) -> str:
    found: Any = await stage.kubectl(PUBLIC).json("get", MESH, "-n", "istio-system")
    return str(found["data"]["mesh"])


def with_fields(text: str, **fields: Any) -> str:
    """The mesh's settings with these fields."""
    return yaml.safe_dump({**yaml.safe_load(text), **fields})


async def change(stage: Stage, text: str) -> None:
    patch = json.dumps({"data": {"mesh": text}})
    await stage.kubectl(PUBLIC).run("patch", MESH, "-n", "istio-system", "--type=merge", "-p", patch)


@pytest.fixture
async def told(stage: Stage) -> AsyncIterator[Stage]:
    """The mesh; afterwards it says of itself what it said before."""
    before = await mesh_config(stage)
    yield stage
    await change(stage, before)
    public = stage.kubectl(PUBLIC)
    await public.run("delete", "telemetry", "story", "--ignore-not-found")
    await public.run("delete", "telemetry", "story", "-n", "istio-system", "--ignore-not-found")
    await public.run("delete", "virtualservice", "details", "--ignore-not-found")


async def log_lines(stage: Stage, cluster: str, app: str, mark: str) -> list[str]:
    """The lines of an app's proxies that speak of `mark`."""
    words = ("logs", "-l", f"app={app}", "-c", "istio-proxy", "--tail=-1")
    return [line for line in (await stage.kubectl(cluster).run(*words)).splitlines() if mark in line]


async def logged(stage: Stage, mark: str) -> tuple[set[str], set[str]]:
    """The paths with `mark` that productpage's proxy wrote down, and those that the proxies of details did."""

    def paths(lines: list[str]) -> set[str]:
        return {each for line in lines for each in line.split() if mark in each}

    callers = paths(await log_lines(stage, PUBLIC, "productpage", mark))
    return callers, paths(await log_lines(stage, PUBLIC, "details", mark))


FAULT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details, namespace: default}
spec:
  hosts: [details]
  http:
    - match: [{headers: {x-fail: {exact: "yes"}}}]
      fault: {abort: {httpStatus: 503, percentage: {value: 100}}}
      route: [{destination: {host: details}}]
    - route: [{destination: {host: details}}]
"""


async def ask_details(stage: Stage, mark: str) -> None:
    """One call that succeeds and one that fails, both with `mark` in their paths."""
    for headers, path in (((), f"/details/0?{mark}=good"), ((("x-fail", "yes"),), f"/details/0?{mark}=bad")):
        await call(stage, Request(host="details", path=path, headers=headers))


async def test_of_one_workload_only_failures_are_logged_and_then_all_again(told: Stage) -> None:
    public = told.kubectl(PUBLIC)
    await change(told, with_fields(await mesh_config(told), accessLogFile="/dev/stdout"))
    await public.apply(FAULT)
    rounds = 0

    async def writes(wanted: set[str]) -> bool:
        """Whether productpage's proxy writes just these of a round's calls, and that of details all it gets."""
        nonlocal rounds
        rounds += 1
        mark = f"round{rounds}x"
        await ask_details(told, mark)

        async def both_sides() -> bool:
            callers, called = await logged(told, mark)
            return any(f"{mark}=good" in each for each in called) and len(callers) >= len(wanted)

        await told.until(both_sides, 5)
        callers, called = await logged(told, mark)
        written = {each for each in ("good", "bad") if any(f"{mark}={each}" in path for path in callers)}
        return written == wanted and any(f"{mark}=good" in each for each in called)

    assert await told.until(lambda: writes({"good", "bad"}), 60)
    logging = {"providers": [{"name": "envoy"}], "filter": {"expression": "response.code >= 500"}}
    selector = {"matchLabels": {"app": "productpage"}}
    await public.apply(telemetry("story", "default", selector=selector, accessLogging=[logging]))
    assert await told.until(lambda: writes({"bad"}), 60)
    off = [{"disabled": True}]
    await public.apply(telemetry("story", "default", selector=selector, accessLogging=off))
    assert await told.until(lambda: writes(set()), 60)
    await public.run("delete", "telemetry", "story")
    assert await told.until(lambda: writes({"good", "bad"}), 60)


@pytest.fixture
async def collector(told: Stage) -> AsyncIterator[Stage]:
    """The mesh with a collector of traces, in the public cluster alone."""
    container = {"name": "zipkin", "image": "python:3", "command": ["python3", "-c", COLLECTOR]}
    meta = {"name": "zipkin", "namespace": "default", "labels": {"app": "zipkin"}}
    port = {"name": "http", "port": 9411, "targetPort": 9411}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "zipkin", "namespace": "default"},
        "spec": {"selector": {"app": "zipkin"}, "ports": [port]},
    }
    public = told.kubectl(PUBLIC)
    await public.apply(yaml.safe_dump_all([pod, service]))
    yield told
    await public.run("delete", "pod/zipkin", "service/zipkin", "--ignore-not-found")


async def spans(stage: Stage) -> list[dict[str, Any]]:
    """All that the collector got."""
    (answer,) = await call(stage, Request(host="zipkin", port=9411, path="/spans"))
    return list(json.loads(answer.body)) if answer.status == 200 else []


async def test_a_call_across_clusters_is_one_trace_at_the_collector(collector: Stage) -> None:
    service = "zipkin.default.svc.cluster.local"
    providers = [{"name": "story", "zipkin": {"service": service, "port": 9411}}]
    await change(collector, with_fields(await mesh_config(collector), extensionProviders=providers))
    tracing = {"providers": [{"name": "story"}], "randomSamplingPercentage": 100}
    await collector.kubectl(PUBLIC).apply(telemetry("story", "istio-system", tracing=[tracing]))

    seen: dict[str, set[tuple[str, str]]] = {}

    async def whole() -> bool:
        """Whether one trace has productpage's call, that of red reviews in the other cluster, and ratings."""
        await collector.visitor.until(Stars.RED, limit_s=20)
        for span in await spans(collector):
            where = span["localEndpoint"]["serviceName"], span["tags"].get("istio.cluster_id", "")
            seen.setdefault(span["traceId"], set()).add(where)
        return any(
            ("productpage.default", PUBLIC) in found
            and ("reviews.default", PRIVATE) in found
            and "ratings.default" in {service for service, _ in found}
            for found in seen.values()
        )

    assert await collector.until(whole, 90), seen


async def test_another_form_of_logs_reaches_all_proxies_without_a_restart(told: Stage) -> None:
    form = '{"story": "%REQ(:PATH)%", "by": "%UPSTREAM_CLUSTER_RAW%"}'
    settings = {"accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON", "accessLogFormat": form}
    await change(told, with_fields(await mesh_config(told), **settings))
    rounds = 0

    async def json_everywhere() -> bool:
        nonlocal rounds
        rounds += 1
        mark = f"json{rounds}x"
        await call(told, Request(path=f"/reviews/0?{mark}"), times=6)

        async def written() -> bool:
            found = [
                *await log_lines(told, PUBLIC, "productpage", mark),
                *await log_lines(told, PRIVATE, "reviews", mark),
            ]
            return len(found) >= 6 + 1

        await told.until(written, 5)
        sides = [
            await log_lines(told, PUBLIC, "productpage", f'"story":"/reviews/0?{mark}"'),
            await log_lines(told, PRIVATE, "reviews", f'"story":"/reviews/0?{mark}"'),
        ]
        return all(sides)

    assert await told.until(json_everywhere, 90)


async def test_settings_that_are_wrong_are_told_and_the_last_good_ones_hold(told: Stage) -> None:
    wrong = {"connectTimeout": "soon", "outboundTrafficPolicy": {"mode": "NEVER"}}
    await change(told, with_fields(await mesh_config(told), **wrong))

    async def said() -> bool:
        paths = {each["path"] for each in await findings(told)}
        return {"$.data.mesh.connectTimeout", "$.data.mesh.outboundTrafficPolicy.mode"} <= paths

    assert await told.until(said, 30)
    (answer,) = await call(told)
    assert answer.status == 200


async def test_unknown_destinations_are_refused_where_the_mesh_says_so(told: Stage) -> None:
    unknown = Request(headers=(("host", "unknown.example"),))

    async def answers(status: int) -> bool:
        (answer,) = await call(told, unknown)
        return answer.status == status

    assert await told.until(lambda: answers(200), 30)
    policy = {"mode": "REGISTRY_ONLY"}
    await change(told, with_fields(await mesh_config(told), outboundTrafficPolicy=policy))
    assert await told.until(lambda: answers(502), 60)
    (known,) = await call(told)
    assert known.status == 200
