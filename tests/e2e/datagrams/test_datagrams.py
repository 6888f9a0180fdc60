"""Datagrams to services: of the other cluster by plain name, in tunnels that say nothing of them, and as they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import yaml

from e2e.conftest import Rules
from e2e.datagrams.objects import answers, caller, echoed, server, service
from e2e.echo.objects import meta
from e2e.workloads import ask, workloads
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

SECRET = "nobody-may-read-this"


@pytest.fixture(scope="module")
def parrots(built: Stage) -> Iterator[Stage]:
    """`parrot` in both clusters at different ports, `far` in the private one only; callers in the public one."""
    near = [*caller(), *server("v1", (7007, 7053)), service("parrot", (7007, 7053))]
    far = [*server("v2", (8007, 8053)), service("parrot", (8007, 8053)), service("far", (8007, 8053))]
    with workloads(built, {PUBLIC: near, PRIVATE: far}) as stage:
        yield stage


@pytest.fixture
async def there(parrots: Stage, stage: Stage) -> Stage:
    assert await stage.until(lambda: answers(stage, "far:7"), 30)
    assert await stage.until(lambda: answers(stage, "parrot:7"), 30)
    return stage


async def test_a_service_of_the_other_cluster_echoes_under_its_plain_name_and_nobody_reads_it(
    there: Stage,
) -> None:
    await there.lab.ask("POST", "/link/listen")
    found = await echoed(there, "far:7", text=SECRET, times=20)
    found += await echoed(there, "far:7", text=SECRET, times=5, connected=False)
    heard = await there.lab.ask("POST", "/link/heard", {"needles": [SECRET, "parrot-v2"]})
    assert all(each["whole"] for each in found)
    assert {each["pod"].split("-")[1] for each in found} == {"v2"}
    assert {each["peer"][1] for each in found} == {7}, "answers come from where the caller sent to"
    assert all(each["peer"][0].startswith("240.240.") for each in found)
    assert heard["complete"]
    assert heard["needles"] == []
    assert not [each for each in heard["flows"] if each.startswith("udp")], heard["flows"]
    assert any(each.endswith(":15008") for each in heard["flows"]), heard["flows"]


async def test_questions_of_dns_are_answered_by_a_server_in_the_other_cluster(there: Stage) -> None:
    found = await ask(there, "ask_udp", "name", "far:53", json.dumps({"host": "anything.example"}))
    assert found == "192.0.2.99"


async def test_each_session_goes_to_one_pod_and_sessions_to_all_of_both_clusters(there: Stage) -> None:
    one = await ask(there, "ask_udp", "session", "parrot:7", json.dumps({"times": 50}))
    assert len({each.partition(":")[0] for each in one}) == 1
    assert [each.partition(":")[2] for each in one] == [str(each) for each in range(50)]

    async def everywhere() -> bool:
        found = await echoed(there, "parrot:7", times=40)
        return {each["pod"].split("-")[1] for each in found} == {"v1", "v2"}

    assert await there.until(everywhere, 20)


async def test_datagrams_of_any_size_are_whole(there: Stage) -> None:
    found = await echoed(there, "far:7", sizes=[1, 500, 1500, 2000, 9000, 30000, 60000], text="x")
    assert all(each["whole"] for each in found), found


async def test_a_cut_link_costs_its_own_sessions_and_the_others_go_on(there: Stage) -> None:
    await there.lab.link("cut")
    try:
        assert not any(each["whole"] for each in await echoed(there, "far:7", times=2, limit_s=0.5))

        async def near_only() -> bool:
            found = await echoed(there, "parrot:7", times=10, limit_s=1.0)
            return all(each["whole"] for each in found)

        assert await there.until(near_only, 60), "the endpoint that cannot be reached is put aside"
    finally:
        await there.lab.link("heal")
    assert await there.until(lambda: answers(there, "far:7"), 60)


@pytest.fixture
async def plain(there: Stage) -> AsyncIterator[Stage]:
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": meta("far"),
        "spec": {"host": "far", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
    }
    await there.kubectl(PUBLIC).apply(yaml.safe_dump_all([rule]))
    yield there
    await there.kubectl(PUBLIC).run("delete", "destinationrule", "far")


async def test_without_tunnels_datagrams_cross_as_they_are_and_may_be_big(plain: Stage) -> None:
    async def big() -> bool:
        found = await echoed(plain, "far:7", sizes=[9000, 60000], text="x")
        return bool(found) and all(each["whole"] for each in found)

    assert await plain.until(big, 30)
    await plain.lab.ask("POST", "/link/listen")
    await echoed(plain, "far:7", text=SECRET)
    heard = await plain.lab.ask("POST", "/link/heard", {"needles": [SECRET]})
    assert heard["needles"] == [SECRET]


STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": meta("parrot"),
    "spec": {"selector": {"matchLabels": {"app": "parrot"}}, "mtls": {"mode": "STRICT"}},
}


async def test_where_the_terms_are_strict_datagrams_come_in_tunnels_or_not_at_all(
    plain: Stage, rules: Rules
) -> None:
    assert await plain.until(lambda: answers(plain, "far:7"), 30)
    await rules(STRICT)

    async def dropped() -> bool:
        return not any(each["whole"] for each in await echoed(plain, "far:7", times=2, limit_s=0.5))

    assert await plain.until(dropped, 30), "they are sent as they are, since a rule says so"
    found = await echoed(plain, "parrot:7", times=20)
    assert found and all(each["whole"] for each in found), "in tunnels they come through"
