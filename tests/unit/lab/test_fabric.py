"""Two fabrics, two pods each, in real namespaces."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from isthmus.kit.netlink import LinkCounters, address
from isthmus.lab.addresses import AddressPool, AddressPoolEmpty
from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec, PodNetwork
from isthmus.lab.internet import join_internet
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.service_proxy import ServiceVip, apply, ruleset
from isthmus.lab.sockets import open_connection, start_server
from isthmus.lab.wan import Cut, Impairment, Wan
from unit.lab.inside import tell

GKE = FabricSpec("gke", (FabricFamily("10.124.0.0/16", "10.0.0.0/20", "10.128.0.2", "172.16.0.2"),))
ONPREM = FabricSpec(
    "onprem", (FabricFamily("192.170.228.0/24", "10.96.0.0/20", "192.168.50.2", "172.16.1.2"),)
)
WHO = pytest.mark.parametrize("who", ["root", "user"])
LIMIT_S = 20.0
SILENCE_S = 0.4
"""How long nothing must come for silence, where an answer would take a millisecond."""


async def who_asks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that says the caller's address and what it said."""
    writer.write(f"{writer.get_extra_info('peername')[0]} ".encode() + await reader.readline())
    writer.close()


async def ask(pod: PodNetwork, address: str, port: int = 9080, line: bytes = b"hello\n") -> str:
    """The answer a pod gets, or the name of the error."""
    return await ask_from(pod.namespace, address, port, line)


async def knock(pod: PodNetwork, address: str, port: int = 9080, within_s: float = SILENCE_S) -> str:
    """As `ask`, where no answer is expected: "silence" then."""
    try:
        async with asyncio.timeout(within_s):
            return await ask(pod, address, port)
    except TimeoutError:
        return "silence"


async def ask_from(namespace: NetworkNamespace, address: str, port: int, line: bytes = b"hello\n") -> str:
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await open_connection(namespace, address, port)
            writer.write(line)
            answer = await reader.read()
            writer.close()
            return answer.decode().strip()
    except OSError as error:
        return type(error).__name__


async def pair() -> tuple[Wan, Fabric, Fabric, list[PodNetwork]]:
    gke, onprem, wan = Fabric(GKE), Fabric(ONPREM), Wan()
    for each in (gke, onprem, wan):
        await each.start()
    await wan.join(gke)
    await wan.join(onprem)
    pods = [
        await gke.add_pod("a"),
        await gke.add_pod("b"),
        await onprem.add_pod("c"),
        await onprem.add_pod("d"),
    ]
    for pod in pods:
        await start_server(pod.namespace, "0.0.0.0", 9080, who_asks)
    return wan, gke, onprem, pods


async def everyone_asks_everyone(_: Path) -> Any:
    _, gke, onprem, pods = await pair()
    answers = {f"{one.name}{other.name}": await ask(one, other.address) for one in pods for other in pods}
    await start_server(onprem.router, ONPREM.first.control_address, 6443, who_asks)
    counters = await gke.traffic("a")
    return {
        "addresses": {pod.name: pod.address for pod in pods},
        "answers": answers,
        "api": [await ask(pod, ONPREM.first.control_address, 6443) for pod in pods],
        "counted": [counters.received_packets > 0, counters.sent_packets > 0],
    }


@WHO
@pytest.mark.lab
def test_all_pods_of_two_clusters_reach_each_other_and_see_true_addresses(who: str) -> None:
    facts = tell(__file__, "everyone_asks_everyone", who)
    assert facts["addresses"] == {
        "a": "10.124.0.2",
        "b": "10.124.0.3",
        "c": "192.170.228.2",
        "d": "192.170.228.3",
    }
    assert facts["answers"] == {
        f"{one}{other}": f"{facts['addresses'][one]} hello" for one in "abcd" for other in "abcd"
    }
    assert facts["api"] == [f"{facts['addresses'][one]} hello" for one in "abcd"]
    assert facts["counted"] == [True, True]


async def cut_and_heal(_: Path) -> Any:
    wan, gke, _onprem, (a, b, c, _d) = await pair()
    facts: dict[str, Any] = {"whole": await ask(a, c.address)}
    for how in Cut:
        await wan.cut(how)
        within_s = 10.0 if how is Cut.DOWN else SILENCE_S
        facts[how.value] = [await knock(a, c.address, within_s=within_s), await ask(a, b.address)]
        await wan.heal()
        facts[how.value].append(await ask(a, c.address))
    await wan.impair(Impairment(delay_ms=1))
    await wan.cut()
    facts["impaired"] = [await knock(a, c.address), wan.carrier]
    await wan.heal()
    facts["impaired"].append(await ask(a, c.address))
    await wan.impair(Impairment())
    facts["again"] = [await ask(a, c.address), wan.carrier]
    await gke.remove_pod("a")
    facts["removed"] = [await knock(b, a.address, within_s=10.0), sorted(gke.pods)]
    await wan.stop()
    return facts


@WHO
@pytest.mark.lab
def test_a_cut_line_carries_nothing_until_it_is_healed_and_the_cluster_itself_goes_on(who: str) -> None:
    facts = tell(__file__, "cut_and_heal", who)
    ok = "10.124.0.2 hello"
    assert facts["whole"] == ok
    assert facts["blackhole"] == ["silence", ok, ok]
    assert facts["down"] == ["OSError", ok, ok]
    assert facts["impaired"][0] == "silence"
    assert facts["impaired"][1] in ("relay", "netem")
    assert facts["impaired"][2] == ok
    assert facts["again"] == [ok, "kernel"]
    assert facts["removed"] == ["OSError", ["b"]]


async def quiet(wan: Wan) -> dict[str, LinkCounters]:
    """The counters, once nothing has moved for longer than anything is under way."""
    before = None
    while True:
        now = await wan.traffic()
        if now == before:
            return now
        before = now
        await asyncio.sleep(0.15)


async def slow_and_lossy(_: Path) -> Any:
    wan, _gke, _onprem, (a, _b, c, _d) = await pair()
    await wan.impair(Impairment(delay_ms=40))
    await ask(a, c.address)
    begun = asyncio.get_running_loop().time()
    await ask(a, c.address)
    took_s = asyncio.get_running_loop().time() - begun
    before = await quiet(wan)
    await wan.impair(Impairment(loss=1.0))
    lost = await knock(a, c.address)
    after = await quiet(wan)
    sent = after["gke"].received_packets - before["gke"].received_packets
    brought = after["onprem"].sent_packets - before["onprem"].sent_packets
    await wan.stop()
    return {"took_s": took_s, "lost": lost, "sent": sent, "brought": brought}


@WHO
@pytest.mark.lab
def test_a_slow_line_delays_each_way_and_a_lossy_one_loses(who: str) -> None:
    facts = tell(__file__, "slow_and_lossy", who)
    # A connection and an answer are two round trips of two ways each, and nothing makes them faster.
    assert facts["took_s"] >= 4 * 0.040
    assert facts["lost"] == "silence"
    assert facts["sent"] > 0
    assert facts["brought"] == 0


async def tapped(_: Path) -> Any:
    wan, _gke, _onprem, (a, b, c, _d) = await pair()
    async with wan.tap() as tap:
        await ask(a, c.address, line=b"a word in clear\n")
        await ask(a, b.address, line=b"stays at home\n")
    return {
        "crossed": tap.contains(b"a word in clear"),
        "home": tap.contains(b"stays at home"),
        "packets": [tap.packets("10.124.0.2/32", "192.170.228.0/24") > 0, tap.packets("10.124.0.3/32")],
        "complete": tap.complete,
    }


@WHO
@pytest.mark.lab
def test_a_wiretap_holds_what_crossed_the_line_and_nothing_else(who: str) -> None:
    facts = tell(__file__, "tapped", who)
    assert facts == {"crossed": True, "home": False, "packets": [True, 0], "complete": True}


async def without_vpn(_: Path) -> Any:
    wan, gke, onprem, (a, _b, c, d) = await pair()
    internet = Wan("inet")
    await internet.start()
    await join_internet(internet, gke, "198.51.100.1")
    await join_internet(internet, onprem, "203.0.113.1")
    gateway = ServiceVip("203.0.113.1", "tcp", 15443, ((d.address, 9080),))
    await apply(onprem.router, *ruleset([gateway], ONPREM.first.service_cidr))
    await start_server(onprem.router, "0.0.0.0", 22, who_asks)
    await wan.cut(Cut.DOWN)
    async with internet.tap() as tap:
        answers = {
            "gateway": await ask(a, "203.0.113.1", 15443),
            "from the node": await ask_from(gke.router, "203.0.113.1", 15443),
            "pod": await knock(a, c.address),
            "node": await knock(a, "203.0.113.1", 22),
            "other port": await knock(a, "203.0.113.1", 9080),
            "inner address": await knock(a, ONPREM.first.node_address, 22),
        }
    await wan.heal()
    answers["healed"] = await ask(a, c.address)
    answers["inner packets"] = tap.packets(source="10.0.0.0/8") + tap.packets(destination="192.170.228.0/24")
    await internet.cut()
    answers["cut"] = await knock(a, "203.0.113.1", 15443)
    return answers


@WHO
@pytest.mark.lab
def test_without_vpn_only_what_is_published_is_reached_and_callers_bear_the_public_address(who: str) -> None:
    assert tell(__file__, "without_vpn", who) == {
        "gateway": "198.51.100.1 hello",
        "from the node": "198.51.100.1 hello",
        "pod": "OSError",
        "node": "silence",
        "other port": "silence",
        "inner address": "OSError",
        "healed": "10.124.0.2 hello",
        "inner packets": 0,
        "cut": "silence",
    }


def test_an_address_comes_again_only_after_all_others() -> None:
    pool = AddressPool("192.0.2.0/29")
    first = [pool.take() for _ in range(5)]
    assert first == ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]
    with pytest.raises(AddressPoolEmpty):
        pool.take()
    pool.give_back("192.0.2.5")
    pool.give_back("192.0.2.3")
    assert [pool.take(), pool.take()] == ["192.0.2.3", "192.0.2.5"]


def test_a_free_address_is_not_used_while_a_longer_unused_one_is_left() -> None:
    pool = AddressPool("192.0.2.0/24")
    first = pool.take()
    pool.give_back(first)
    assert pool.take() != first


SIX = FabricFamily("fd00:1:1::/112", "fd00:1:2::/112", "fd00:1::2", "fd00:1::100")
BOTH = FabricSpec("both", (GKE.first, SIX))
ALONE = FabricSpec("alone", (FabricFamily("fd00:2:1::/112", "fd00:2:2::/112", "fd00:2::2", "fd00:2::100"),))
APART = FabricSpec("apart", (FabricFamily("fd00:2:1::/112", "fd00:2:2::/112", "fd00:3::2", "fd00:3::100"),))


async def without_vpn_in_ipv6(_: Path) -> Any:
    alone, apart, internet = Fabric(ALONE), Fabric(APART), Wan("inet")
    for each in (alone, apart, internet):
        await each.start()
    a, d = await alone.add_pod("a"), await apart.add_pod("d")
    await join_internet(internet, alone, "2001:db8:1::1")
    await join_internet(internet, apart, "2001:db8:2::1", ("2001:db8:2::100", 6443))
    await apart.apply(address("2001:db8:2::100", 1))
    gateway = ServiceVip("2001:db8:2::1", "tcp", 15443, ((d.address, 9080),))
    await apply(apart.router, *ruleset([gateway], APART.first.service_cidr))
    for where, port in ((d.namespace, 9080), (apart.router, 22), (apart.router, 6443)):
        await start_server(where, "::", port, who_asks)
    async with internet.tap() as tap:
        answers: dict[str, object] = {
            "gateway": await ask(a, "2001:db8:2::1", 15443),
            "from the node": await ask_from(alone.router, "2001:db8:2::1", 15443),
            "API server": await ask(a, "2001:db8:2::100", 6443),
            "node": await knock(a, "2001:db8:2::1", 22),
            "other port": await knock(a, "2001:db8:2::1", 9080),
        }
    answers["inner packets"] = tap.packets(source="fd00::/8") + tap.packets(destination="fd00::/8")
    return answers


@WHO
@pytest.mark.lab
def test_without_vpn_it_is_the_same_in_ipv6_even_with_the_same_addresses_of_pods(who: str) -> None:
    assert tell(__file__, "without_vpn_in_ipv6", who) == {
        "gateway": "2001:db8:1::1 hello",
        "from the node": "2001:db8:1::1 hello",
        "API server": "2001:db8:1::1 hello",
        "node": "silence",
        "other port": "silence",
        "inner packets": 0,
    }


async def clusters_of_both_families(folder: Path) -> dict[str, Any]:
    """A cluster of both and one of IPv6 alone, joined by a line: who reaches whom, and through services."""
    both, alone, wan = Fabric(BOTH), Fabric(ALONE), Wan()
    await asyncio.gather(both.start(), alone.start(), wan.start())
    await wan.join(both)
    await wan.join(alone)
    a, b, c = await both.add_pod("a"), await both.add_pod("b"), await alone.add_pod("c")
    for pod in (b, c):
        for each in pod.addresses:
            await start_server(pod.namespace, each, 9080, who_asks)
    vips = [
        ServiceVip("10.0.0.7", "tcp", 80, ((b.addresses[0], 9080),)),
        ServiceVip("fd00:1:2::7", "tcp", 80, ((b.addresses[1], 9080), (c.address, 9080))),
    ]
    for family in BOTH.families:
        await apply(both.router, *ruleset(vips, family.service_cidr))
    facts: dict[str, Any] = {
        "addresses": [a.addresses, b.addresses, c.addresses],
        "near": [await ask(a, each) for each in b.addresses],
        "far": await ask(a, c.address),
        "back": await ask(c, b.addresses[1]),
        "service": [await ask(a, "10.0.0.7", 80), await ask(a, "fd00:1:2::7", 80)],
        "no_service": await ask(a, "fd00:1:2::8", 80),
        "from_node": await ask_from(both.router, "fd00:1:2::7", 80),
    }
    await wan.impair(Impairment(delay_ms=5))
    facts["slow"] = await ask(a, c.address)
    await wan.cut()
    facts["cut"] = await knock(a, c.address)
    await wan.stop()
    await asyncio.gather(both.stop(), alone.stop())
    return facts


@pytest.mark.lab
@WHO
def test_pods_of_both_families_reach_each_other_and_services_by_each(who: str) -> None:
    seen = tell(__file__, "clusters_of_both_families", who)
    a, b, c = seen["addresses"]
    assert (len(a), len(b), len(c)) == (2, 2, 1)
    assert seen["near"] == [f"{each} hello" for each in a]
    assert seen["far"] == seen["slow"] == f"{a[1]} hello"
    assert seen["back"] == f"{c[0]} hello"
    assert seen["service"] == [f"{each} hello" for each in a]
    assert seen["no_service"] == "ConnectionRefusedError"
    assert seen["from_node"] == "fd00:1::2 hello"
    assert seen["cut"] == "silence"
