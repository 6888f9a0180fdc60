"""Hosts that no cluster has: pods of all clusters by a name of one's own, and names for Envoy to resolve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from e2e.calls import Request, call
from e2e.workloads import workloads
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

NAMES = ("stars", "again", "unknown")


def entry(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta, "spec": spec}


@pytest.fixture
async def entries(stage: Stage) -> AsyncIterator[Stage]:
    yield stage
    await stage.kubectl(PUBLIC).run("delete", "serviceentry", *NAMES, "--ignore-not-found")


def to(host: str, address: str = "240.0.0.7") -> Request:
    return Request(host=address, port=8000, path="/reviews/0", headers=(("host", host),))


async def apply(stage: Stage, *objects: dict[str, Any]) -> None:
    await stage.kubectl(PUBLIC).apply(yaml.safe_dump_all(objects))


async def test_a_name_of_ones_own_is_served_by_pods_of_all_clusters(entries: Stage) -> None:
    spec = {
        "hosts": ["stars.example"],
        "addresses": ["240.0.0.7"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "reviews"}},
        "ports": [{"number": 8000, "name": "http", "protocol": "HTTP", "targetPort": 9080}],
    }
    await apply(entries, entry("stars", spec))

    async def from_all() -> bool:
        answers = await call(entries, to("stars.example"), 30)
        return {each.status for each in answers} == {200} and {each.version for each in answers} == {
            "v1",
            "v2",
            "v3",
        }

    assert await entries.until(from_all, 30), "v3 runs in the other cluster"


async def test_bytes_for_a_range_of_addresses_go_where_their_entry_says(entries: Stage) -> None:
    spec = {
        "hosts": ["range.example"],
        "addresses": ["240.1.0.0/16"],
        "resolution": "DNS",
        "location": "MESH_INTERNAL",
        "endpoints": [{"address": "reviews.default.svc.cluster.local", "ports": {"tcp": 9080}}],
        "ports": [{"number": 8000, "name": "tcp", "protocol": "TCP"}],
    }
    await apply(entries, entry("again", spec))

    async def answered() -> bool:
        answers = await call(entries, to("any", "240.1.2.3"), 5)
        return all(each.status == 200 for each in answers)

    assert await entries.until(answered, 30)


@pytest.fixture
def machine(built: Stage) -> Iterator[Stage]:
    """A workload in the other cluster whose agent asks to be registered as one of the group `machines`."""
    group = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": "machines", "namespace": "default"},
        "spec": {
            "metadata": {"labels": {"of": "group"}},
            "template": {"ports": {"http": 9080}},
            "probe": {
                "periodSeconds": 1,
                "failureThreshold": 1,
                "httpGet": {"port": 9080, "path": "/health"},
            },
        },
    }
    asyncio.run(built.kubectl(PUBLIC).apply(yaml.safe_dump(group)))
    asks = "proxyMetadata: {ISTIO_META_AUTO_REGISTER_GROUP: machines}"
    annotations = {"proxy.istio.io/config": asks}
    labels = {"app": "machine"}
    container = {"name": "machine", "image": "isthmus/examples-bookinfo-ratings-v1:1.0"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "machine", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [container]},
            },
        },
    }
    with workloads(built, {PRIVATE: [deployment]}) as up:
        yield up
    asyncio.run(built.kubectl(PUBLIC).run("delete", "workloadgroup", "machines", "--ignore-not-found"))


async def test_a_workload_is_registered_by_its_agent_for_as_long_as_it_is_there(machine: Stage) -> None:
    async def registered() -> list[Any]:
        found: Any = await machine.kubectl(PUBLIC).json("get", "workloadentries", "-l", "of=group")
        return list(found["items"])

    async def one() -> bool:
        return len(await registered()) == 1

    async def none() -> bool:
        return not await registered()

    assert await machine.until(one, 30)
    pods: Any = await machine.kubectl(PRIVATE).json("get", "pods", "-l", "app=machine")
    (entry,) = await registered()
    assert entry["spec"]["address"] == pods["items"][0]["status"]["podIP"]
    assert entry["spec"]["ports"] == {"http": 9080}

    async def says(status: str) -> bool:
        found = [one for each in await registered() for one in each.get("status", {}).get("conditions", [])]
        return [one["status"] for one in found if one["type"] == "Healthy"] == [status]

    assert await machine.until(lambda: says("True"), 30), "its agent has asked it"
    other = '{"spec": {"probe": {"httpGet": {"path": "/nowhere"}}}}'
    await machine.kubectl(PUBLIC).run("patch", "workloadgroup", "machines", "--type=merge", "-p", other)
    assert await machine.until(lambda: says("False"), 30)
    await machine.kubectl(PRIVATE).run("scale", "deployment/machine", "--replicas=0")
    assert await machine.until(none, 60)
    await machine.kubectl(PRIVATE).run("scale", "deployment/machine", "--replicas=1")
    assert await machine.until(one, 60)
    await machine.kubectl(PUBLIC).run("delete", "workloadgroup", "machines")
    assert await machine.until(none, 30), "entries go with their group, though the agent is there"
