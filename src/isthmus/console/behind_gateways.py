"""What becomes of a call at a gateway between networks: to which endpoints behind it, by its server name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from isthmus.api.istio.gateway import GatewayConfig
from isthmus.console.explain_source import Source
from isthmus.model.workload import Workload
from isthmus.translate.gateway_servers import passes_automatically
from isthmus.translate.trace.call import Call, Hello, Speech, Untraceable
from isthmus.translate.trace.stance import stance
from isthmus.translate.trace.steps import EndpointShare, Tls
from isthmus.translate.trace.walk import Side, trace


def doors(source: Source, networks: str, cluster: str) -> Iterator[tuple[Workload, int]]:
    """The gateways of these networks whose proxies are known, and where they listen; those of the cluster first."""
    wanted = networks.split(",")
    for workload in sorted(
        source.mesh.workloads.values(), key=lambda each: (each.cluster != cluster, each.name)
    ):
        port = _port(source, workload) if workload.network in wanted else 0
        if port:
            yield workload, port


def _port(source: Source, workload: Workload) -> int:
    """Where the workload lets calls into its network by server name; 0 where it does not."""
    targets = {one.port.number: one.target_port for one in workload.serves}
    for config in source.mesh.of(GatewayConfig):
        if config.spec.selector.items() <= dict(workload.labels).items():
            for server in config.spec.servers:
                if passes_automatically(server):
                    return targets.get(server.port.number, server.port.number)
    return 0


class Passed(NamedTuple):
    """A connection at a door, how callers may come there, and the endpoints to which it is passed on."""

    call: Call
    takes: str
    served: tuple[EndpointShare, ...]


def at_door(source: Source, door: tuple[Workload, int], tls: Tls, identity: str) -> Passed | None:
    """What the gateway does with a connection in such TLS; None where its proxy is not known."""
    workload, port = door
    held = source.held(workload)
    if held is None:
        return None
    hello = Hello(sni=tls.sni, alpn=tls.alpn, identity=identity)
    call = Call(address=workload.address, port=port, speech=Speech.BYTES, hello=hello)
    try:
        found = trace(held, call, Side.GATEWAY)
        takes = stance(held, call, Side.GATEWAY, identity).value
    except Untraceable:
        return None
    ends = (one for _, upstream in found.forwards for one in upstream.endpoints if one.serves)
    # The caller's TLS goes on through the gateway, which sees bytes alone.
    return Passed(call, takes, tuple(msgspec.structs.replace(one, tls=tls) for one in ends))
