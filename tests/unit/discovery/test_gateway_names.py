from __future__ import annotations

import asyncio

import pytest

from fakes.eventually import eventually
from isthmus.discovery.gateway_names import GatewayNames, addresses_of
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.network import NetworkGateway
from isthmus.translate.offline import read_case

EAST = ClusterId("east")
NAMED = """
kind: Cluster
metadata: {name: east}
---
kind: Cluster
metadata: {name: west}
---
apiVersion: v1
kind: Service
metadata: {name: eastwest, labels: {topology.istio.io/network: west-net}}
spec: {clusterIP: 10.1.0.2, type: LoadBalancer, ports: [{port: 15443}]}
status: {loadBalancer: {ingress: [{hostname: lb.example.com}]}}
"""


class Dns:
    """Answers as it is told, and counts."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    async def __call__(self, name):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def told(steps, count):
    async def reached():
        return len(steps) == count

    return reached


async def test_a_network_is_entered_where_its_gateways_name_leads(tmp_path):
    builder = MeshBuilder(MeshSettings(config_cluster=EAST))
    mesh = builder.apply(read_case(NAMED).changes).mesh
    assert mesh.networks.hosts == {"lb.example.com"}
    assert mesh.networks.awaited == {"west-net"}, "not reached directly before its addresses are known"
    steps, clock = [], ManualClock()
    dns = Dns(("203.0.113.1",), OSError("no answer"), ("203.0.113.1", "203.0.113.2"))
    names = GatewayNames(EAST, lambda change: steps.append(builder.apply([change])), dns, clock)
    names.wanted.set(mesh.networks.hosts)
    async with supervise(names.run()):
        await eventually(told(steps, 1))
        west = ClusterId("west")
        assert builder.mesh.networks.gateways["west-net"] == (NetworkGateway("203.0.113.1", 15443, west),)
        assert steps[-1].delta.networks
        for asked in (2, 3):
            await clock.advance(30)
            assert dns.asked == asked
        await eventually(told(steps, 2))
        found = [door.address for door in builder.mesh.networks.gateways["west-net"]]
        assert found == ["203.0.113.1", "203.0.113.2"]


async def test_names_of_this_machine_have_addresses():
    assert set(await addresses_of("localhost")) & {"127.0.0.1", "::1"}
    with pytest.raises(OSError):
        await addresses_of("no-such-host.invalid")


async def test_names_without_an_address_are_told_too_and_hold_up_no_other():
    told = []

    async def answer(name):
        match name:
            case "slow.example.com":
                await asyncio.Event().wait()
            case "none.example.com":
                raise OSError("no answer")
        return await addresses_of(name)

    names = GatewayNames(EAST, told.append, answer, ManualClock())
    too_long = "a" * 64 + ".example.com"
    names.wanted.set(frozenset({"localhost", "none.example.com", "slow.example.com", too_long}))
    async with supervise(names.run()):

        async def all_but_one():
            return len(told) == 3

        await eventually(all_but_one)
    known = {change.key.ref.name: change.value.addresses for change in told}
    assert known.pop("localhost")
    assert known == {"none.example.com": (), too_long: ()}
