"""A cluster of both families, one of IPv6 alone and one of IPv4 alone, in one mesh: who calls whom by which address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from e2e.echo.objects import account, deployment, meta
from e2e.own_lab import own_lab
from e2e.workloads import ask, workloads
from isthmus.console.demo import chapters_build
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.installation import Installation, documents, dump
from isthmus.console.registration import Registration, add_cluster
from isthmus.lab.spec import TALK, ClusterSpec, with_families

Json = dict[str, Any]
PROGRAMS = Path(__file__).with_name("programs")
BOTH, SIX, FOUR = PUBLIC, PRIVATE, "branch"
BRANCH = ClusterSpec(
    name=FOUR,
    pod_cidr="10.77.0.0/16",
    service_cidr="10.78.0.0/16",
    node="branch-1",
    node_address="10.79.0.2",
    api_address="10.79.0.100",
)
SPEC = with_families(msgspec.structs.replace(TALK, clusters=(*TALK.clusters, BRANCH)), "both", "ipv6", "ipv4")
SECRET = "nobody-may-read-this"


def objects(*services: str) -> list[Json]:
    """A caller, and a server that these Services lead to."""
    data = {file.name: file.read_text() for file in sorted(PROGRAMS.glob("*.py"))}
    programs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("programs"), "data": data}
    made = [programs, account("caller"), deployment("caller", ["sleep", "infinity"])]
    for name in services:
        made += [account(name), deployment(name, ["python3", "/programs/serve_all.py"]), _service(name)]
    return made


def _service(name: str) -> Json:
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "echo", "port": 7, "targetPort": 7000, "protocol": "UDP"},
    ]
    spec = {"selector": {"app": name}, "ports": ports, "ipFamilyPolicy": "PreferDualStack"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The mesh over the three, with `wide` in the cluster of both, and `six` and `four` in the others."""
    with own_lab(tmp_path_factory.mktemp("families"), SPEC, _build) as stage:
        there = {BOTH: objects("wide"), SIX: objects("six"), FOUR: objects("four")}
        with workloads(stage, there):
            yield stage


async def _build(stage: Stage) -> None:
    await chapters_build.one_root(stage)
    await chapters_build.control_plane(stage)
    kubectl, root = stage.kubectl(FOUR), stage.lab.folder / "ca"
    await kubectl.run("create", "namespace", "istio-system")
    files = [f"--from-file={root / name}" for name in chapters_build.ROOT_FILES]
    await kubectl.run("create", "secret", "generic", "cacerts", "-n", "istio-system", *files)
    await kubectl.apply(dump(documents("remote", Installation(cluster=FOUR))))
    registration = Registration(
        name=FOUR,
        pilot_endpoint="istio-pilot.istio-system:15012",
        kubeconfig=stage.lab.kubeconfig(FOUR),
        config_store=False,
    )
    await add_cluster(stage.lab.folder / "registry", registration)


async def called(stage: Stage, caller: str, host: str) -> Mapping[str, Json]:
    """What a caller in a cluster gets from each address of a host."""
    found: dict[str, Json] = await ask(stage, "ask_all", host, cluster=caller)
    return found


async def called_by(stage: Stage, caller: str, host: str, own: set[int]) -> Mapping[str, Json]:
    """The same, once the caller has heard of addresses of just these families."""

    async def known() -> bool:
        return families(await called(stage, caller, host)) == own

    assert await stage.until(known, 60), await called(stage, caller, host)
    return await called(stage, caller, host)


def families(found: Mapping[str, Json]) -> set[int]:
    return {6 if ":" in each else 4 for each in found}


def answered_by(found: Mapping[str, Json], pod: str) -> bool:
    """Whether every address leads to that pod, by HTTP and by datagrams."""
    return bool(found) and all(
        each["http"].get("pod", "").startswith(pod) and each["datagram"].startswith(pod)
        for each in found.values()
    )


@pytest.mark.parametrize(
    ("caller", "host", "own"),
    [
        (BOTH, "wide", {4, 6}),
        (SIX, "wide", {6}),
        (FOUR, "wide", {4}),
        (BOTH, "six", {4, 6}),
        (BOTH, "four", {4, 6}),
    ],
)
async def test_each_calls_by_the_families_that_it_has_and_nobody_reads_it(
    mesh: Stage, caller: str, host: str, own: set[int]
) -> None:
    async def reached() -> bool:
        found = await called(mesh, caller, host)
        return families(found) == own and answered_by(found, host)

    assert await mesh.until(reached, 60), await called(mesh, caller, host)
    await mesh.lab.ask("POST", "/link/listen")
    found = await called(mesh, caller, host)
    heard = await mesh.lab.ask("POST", "/link/heard", {"needles": [SECRET]})
    assert heard["complete"]
    assert heard["needles"] == []
    crossed = {port for port in (":8080", ":15008") for each in heard["flows"] if each.endswith(port)}
    assert crossed == (set() if (caller, host) == (BOTH, "wide") else {":8080", ":15008"}), heard["flows"]
    for each in found.values():
        assert "spiffe://cluster.local/ns/default/sa/caller" in each["http"]["peer"], each
        at = each["http"]["at"]
        assert (":" in at) == (host == "six" or (host == "wide" and caller == SIX)), each


async def test_where_both_have_no_family_in_common_there_is_nobody_to_answer(mesh: Stage) -> None:
    for caller, host, own in ((SIX, "four", {6}), (FOUR, "six", {4})):
        found = await called_by(mesh, caller, host, own)
        assert {each["http"]["status"] for each in found.values()} == {503}, found
