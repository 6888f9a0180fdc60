"""Cluster IPs: the text of the rules, and what real packets do by them."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from isthmus.kit.tasks import supervise
from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.service_proxy import RulesRefused, ServiceProxy, ServiceVip, apply, ruleset
from isthmus.lab.sockets import Handler, bind_udp, open_connection, start_server
from unit.lab.inside import tell

WHO = pytest.mark.parametrize("who", ["root", "user"])
GKE = FabricSpec("gke", (FabricFamily("10.124.0.0/16", "10.0.0.0/20", "10.128.0.2", "172.16.0.2"),))
GOLDEN = Path(__file__).parents[2] / "golden" / "service_proxy"

REVIEWS = ServiceVip("10.0.0.7", "tcp", 9080, (("10.124.0.10", 9080), ("10.124.0.9", 9080)))
DNS = ServiceVip("10.0.0.10", "udp", 53, (("10.128.0.2", 53),))
EMPTY = ServiceVip("10.0.0.8", "tcp", 80)


@pytest.mark.parametrize(
    ("case", "services"), [("nothing", []), ("one-backend", [DNS]), ("all-kinds", [REVIEWS, DNS, EMPTY])]
)
def test_the_rules_are_those_of_the_golden(case: str, services: list[ServiceVip]) -> None:
    assert "".join(ruleset(services, "10.0.0.0/20")) == (GOLDEN / f"{case}.nft").read_text()


def test_equal_services_give_equal_rules_in_whatever_order_they_come() -> None:
    turned = ServiceVip(REVIEWS.address, "tcp", 9080, REVIEWS.backends[::-1])
    assert ruleset([REVIEWS, DNS, EMPTY], "10.0.0.0/20") == ruleset({EMPTY, turned, DNS}, "10.0.0.0/20")


def named(name: str) -> Handler:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name} {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    return serve


async def ask(namespace: NetworkNamespace, address: str, port: int) -> str:
    try:
        async with asyncio.timeout(5):
            reader, writer = await open_connection(namespace, address, port)
            answer = await reader.read()
            writer.close()
            return answer.decode()
    except OSError as error:
        return type(error).__name__


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.sendto(b"echo " + data, address)


async def ask_udp(namespace: NetworkNamespace, address: str, port: int) -> list[Any]:
    loop = asyncio.get_running_loop()
    with bind_udp(namespace, "0.0.0.0", 0) as asking:
        await loop.sock_sendto(asking, b"name", (address, port))
        async with asyncio.timeout(5):
            answer, sender = await loop.sock_recvfrom(asking, 100)
    return [answer.decode(), *sender]


async def served(_: Path) -> Any:
    fabric = Fabric(GKE)
    await fabric.start()
    pods = [await fabric.add_pod(name) for name in ("a", "b", "c")]
    for pod in pods:
        await start_server(pod.namespace, "0.0.0.0", 9080, named(pod.name))
    await start_server(fabric.router, GKE.first.control_address, 6443, named("api"))
    dns = bind_udp(fabric.router, GKE.first.node_address, 53)
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=dns)
    proxy = ServiceProxy(fabric.router, (GKE.first.service_cidr,))
    both = tuple((pod.address, 9080) for pod in pods[1:])
    services = [
        ServiceVip("10.0.0.1", "tcp", 443, ((GKE.first.control_address, 6443),)),
        ServiceVip("10.0.0.7", "tcp", 80, both),
        ServiceVip("10.0.0.8", "tcp", 80),
        ServiceVip("10.0.0.9", "tcp", 80, ((pods[0].address, 9080),)),
        ServiceVip("10.0.0.10", "udp", 53, ((GKE.first.node_address, 53),)),
        ServiceVip(GKE.first.node_address, "tcp", 30080, both[:1]),
    ]
    a, node = pods[0].namespace, fabric.router
    async with supervise(proxy.run()):
        proxy.set(services)
        await proxy.settled()
        facts: dict[str, Any] = {
            "balanced": Counter([await ask(a, "10.0.0.7", 80) for _ in range(40)]),
            "api": [await ask(a, "10.0.0.1", 443), await ask(node, "10.0.0.1", 443)],
            "from the node": sorted({await ask(node, "10.0.0.7", 80) for _ in range(40)}),
            "empty": [await ask(a, "10.0.0.8", 80), await ask(node, "10.0.0.8", 80)],
            "unknown": [
                await ask(a, "10.0.3.9", 80),
                await ask(node, "10.0.3.9", 80),
                await ask(a, "10.0.0.7", 81),
            ],
            "itself": await ask(a, "10.0.0.9", 80),
            "dns": await ask_udp(a, "10.0.0.10", 53),
            "node port": await ask(a, GKE.first.node_address, 30080),
        }
        proxy.set([ServiceVip("10.0.0.7", "tcp", 80, both[1:])])
        await proxy.settled()
        facts["changed"] = [
            sorted({await ask(a, "10.0.0.7", 80) for _ in range(10)}),
            await ask(a, "10.0.0.9", 80),
        ]
    many = [ServiceVip(f"10.0.{n // 200}.{n % 200 + 1}", "tcp", 80, both) for n in range(1500)]
    await apply(fabric.router, *ruleset(many, GKE.first.service_cidr, generation=3))
    facts["many"] = [await ask(a, many[-1].address, 80), await ask(a, "10.0.15.250", 80)]
    try:
        await apply(fabric.router, "table ip broken {{")
    except RulesRefused as error:
        facts["refused"] = str(error).splitlines()[0]
    facts["still"] = await ask(a, many[-1].address, 80)
    return facts


@WHO
@pytest.mark.lab
def test_services_are_balanced_refused_and_changed_for_pods_and_for_the_node(who: str) -> None:
    facts = tell(__file__, "served", who)
    a, node = "10.124.0.2", GKE.first.node_address
    assert set(facts["balanced"]) == {f"b {a}", f"c {a}"}
    assert facts["api"] == [f"api {a}", f"api {node}"]
    assert facts["from the node"] == [f"b {node}", f"c {node}"]
    assert facts["empty"] == ["ConnectionRefusedError"] * 2
    assert facts["unknown"] == ["ConnectionRefusedError"] * 3
    assert facts["itself"] == "a 169.254.1.1"
    assert facts["dns"] == ["echo name", "10.0.0.10", 53]
    assert facts["node port"] == f"b {a}"
    assert facts["changed"] == [[f"c {a}"], "ConnectionRefusedError"]
    assert facts["many"][0] in (f"b {a}", f"c {a}")
    assert facts["many"][1] == "ConnectionRefusedError"
    assert facts["refused"].startswith("gke/router: nft: ")
    assert facts["still"] in (f"b {a}", f"c {a}")
