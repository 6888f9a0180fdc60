"""Names across clusters: what lives in one cluster only is called from the other by its plain name, without a stub."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.calls import Request, call
from isthmus.console.calls import Target
from isthmus.console.control_plane import access_to, running_pod
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.explain_live import explain_live
from isthmus.console.live_objects import clusters_of
from isthmus.kube.client import Client
from isthmus.kube.pods import run

Json = dict[str, Any]

_LOOK_UP = """
import json, socket, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = sorted({each[4][0] for each in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except OSError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


async def looked_up(stage: Stage, *names: str) -> dict[str, Any]:
    """What a pod of productpage gets for these names from its resolver."""
    async with Client(access_to(stage.lab.kubeconfig(PUBLIC), None)) as client:
        pod = await running_pod(client, "default", "app=productpage")
        output = await run(client, "default", pod, "productpage", ["python3", "-c", _LOOK_UP, *names])
    assert output.code == 0, output.stderr.decode()
    found: dict[str, Any] = json.loads(output.stdout)
    return found


def service(name: str, selector: Json, port: int = 9080, **spec: object) -> Json:
    ports = [{"name": "http", "port": port, "targetPort": 9080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": selector, "ports": ports, **spec},
    }


@pytest.fixture
async def far(stage: Stage) -> AsyncIterator[Stage]:
    """Services that only the private cluster has."""
    kubectl = stage.kubectl(PRIVATE)
    objects = (
        service("stars", {"app": "reviews"}),
        service("every-star", {"app": "reviews"}, clusterIP="None"),
    )
    await kubectl.apply(yaml.safe_dump_all(objects))
    yield stage
    await kubectl.run("delete", "service", "stars", "every-star", "--ignore-not-found")


async def test_a_service_of_the_other_cluster_is_called_by_its_plain_name(far: Stage) -> None:
    async def known() -> bool:
        return "240.240." in str((await looked_up(far, "stars"))["stars"])

    assert await far.until(known, 30)
    answers = await call(far, Request(host="stars"), 20)
    assert {each.status for each in answers} == {200}
    assert {each.version for each in answers} == {"v3"}, "only the private cluster has it"
    found = await looked_up(
        far, "stars.default", "stars.default.svc", "stars.default.svc.cluster.local", "STARS"
    )
    assert len({str(each) for each in found.values()}) == 1
    mesh = await clusters_of(far.lab.kubeconfig(PUBLIC), (), "istio-system")
    explained = await explain_live(mesh, "productpage", Target(url="http://stars:9080/"))
    assert [explained.trace.call.address] == found["STARS"]
    assert {each.cluster for _, upstream in explained.trace.forwards for each in upstream.endpoints} == {
        PRIVATE
    }


async def test_names_of_outside_and_of_ones_own_cluster_are_what_they_were(stage: Stage) -> None:
    found = await looked_up(stage, "reviews", "kubernetes.default", "localhost", "no-such-service")
    assert found["reviews"][0].startswith("10."), found
    assert found["kubernetes.default"][0].startswith("10."), found
    assert "not known" in found["no-such-service"] or "No address" in found["no-such-service"], found


async def test_two_databases_on_one_port_are_told_apart_by_their_names(stage: Stage) -> None:
    def entry(name: str, target: str) -> Json:
        spec = {
            "hosts": [f"{name}.example.com"],
            "location": "MESH_INTERNAL",
            "resolution": "DNS",
            "endpoints": [{"address": f"{target}.default.svc.cluster.local", "ports": {"tcp": 9080}}],
            "ports": [{"number": 7000, "name": "tcp", "protocol": "TCP"}],
        }
        meta = {"name": name, "namespace": "default"}
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": meta,
            "spec": spec,
        }

    kubectl = stage.kubectl(PUBLIC)
    await kubectl.apply(yaml.safe_dump_all([entry("one", "reviews"), entry("two", "ratings")]))
    try:

        async def told_apart() -> bool:
            found = await looked_up(stage, "one.example.com", "two.example.com")
            return (
                all("240.240." in str(each) for each in found.values())
                and len({*map(str, found.values())}) == 2
            )

        assert await stage.until(told_apart, 30)

        async def answered() -> bool:
            first = await call(stage, Request("one.example.com", 7000, "/reviews/0"), 3)
            second = await call(stage, Request("two.example.com", 7000, "/ratings/0"), 3)
            return all("podname" in each.body for each in first) and all(
                "ratings" in each.body for each in second
            )

        assert await stage.until(answered, 30)
    finally:
        await kubectl.run("delete", "serviceentry", "one", "two", "--ignore-not-found")


async def test_names_are_answered_while_pilot_is_away(far: Stage) -> None:
    async def known() -> bool:
        return "240.240." in str((await looked_up(far, "stars"))["stars"])

    assert await far.until(known, 30)
    kubectl = far.kubectl(PUBLIC)
    await kubectl.run("scale", "deployment", "istio-pilot", "-n", "istio-system", "--replicas=0")
    try:

        async def gone() -> bool:
            return "istio-pilot" not in await kubectl.run("get", "pods", "-n", "istio-system", "-o", "name")

        assert await far.until(gone, 30)
        assert await known()
        assert {each.status for each in await call(far, Request(host="stars"), 5)} == {200}
    finally:
        await kubectl.run("scale", "deployment", "istio-pilot", "-n", "istio-system", "--replicas=1")
        assert await far.until(lambda: _ready(far), 60)


async def _ready(stage: Stage) -> bool:
    said = await stage.kubectl(PUBLIC).run("get", "pods", "-n", "istio-system", "-l", "app=istiod")
    return "1/1" in said
