"""What a workload's proxy takes calls for: the ports that services give it, or those that its Sidecar lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from isthmus.api.istio.destination_rule import ConnectionPoolSettings
from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.api.istio.sidecar import IstioIngressListener, Sidecar
from isthmus.api.resource import Ref
from isthmus.envoy.types import Address
from isthmus.model.protocol import protocol_named
from isthmus.model.service import Protocol
from isthmus.model.workload import ServedPort
from isthmus.translate import names, proto
from isthmus.translate.errors import Unsayable

_UNIX = "unix://"
_INSTANCE = frozenset({"0.0.0.0", "::"})
"""In place of an address: that of the workload itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrance:
    """One port that is called, and the application behind it."""

    number: int
    protocol: Protocol
    known_as: str  # `host:port` by which callers speak of it
    service_port: int
    served: ServedPort | None = None  # that leads there; the first of several
    path: str = ""  # in the Sidecar; empty where a service gives it
    bind: str = ""  # the only address at which it is called; empty: any
    socket: bool = False  # calls arrive at a socket of its own: they are not captured
    to: str = ""  # where the application listens; empty: where the caller meant to go
    pool: ConnectionPoolSettings | None = None
    tls: ServerTLSSettings | None = None  # for callers that are not of the mesh

    @property
    def listener(self) -> str:
        """The name of the listener that has its chains."""
        return names.listener(self.bind or names.ANY, self.number) if self.socket else names.VIRTUAL_INBOUND

    @property
    def place(self) -> Address | None:
        """Where the application listens; None: where the caller meant to go. Raises `Unsayable` for anything else."""
        if not self.to:
            return None
        if self.to.startswith(_UNIX):
            return proto.place(self.to, 0)
        host, _, port = self.to.rpartition(":")
        try:
            return proto.address(str(ip_address(host.strip("[]"))), int(port))
        except ValueError:
            hint = "hint: 127.0.0.1:8080, 0.0.0.0:8080 or unix:///path"
            raise Unsayable(f"{self.path}.defaultEndpoint", f"{self.to!r} is no place ({hint})") from None


def entrances(serves: Iterable[ServedPort], sidecar: Sidecar | None, address: str) -> tuple[Entrance, ...]:
    """What is taken in by the proxy of a workload at `address`, one for each port; of UDP nothing."""
    served = served_by_target(serves)
    spec = sidecar.spec if sidecar is not None else None
    usual = spec.inbound_connection_pool if spec is not None else None
    if sidecar is None or spec is None or not spec.ingress:
        return tuple(
            Entrance(
                number=target,
                protocol=one.port.protocol,
                known_as=f"{one.service.hostname}:{one.port.number}",
                service_port=one.port.number,
                served=one,
                pool=usual,
            )
            for target, one in served.items()
        )
    return tuple(
        _listed(each, f"ingress[{index}]", sidecar, served.get(each.port.number), (usual, address))
        for index, each in enumerate(spec.ingress)
    )


def about(sidecar: Sidecar) -> Ref:
    """By which findings name a Sidecar."""
    return Ref("Sidecar", sidecar.metadata.namespace, sidecar.metadata.name)


def served_by_target(serves: Iterable[ServedPort]) -> dict[int, ServedPort]:
    """What is served on each port that the workload listens on; the first service decides its protocol."""
    by_target: dict[int, ServedPort] = {}
    for one in serves:
        if one.port.protocol is not Protocol.UDP:
            by_target.setdefault(one.target_port, one)
    return by_target


def _listed(
    listed: IstioIngressListener,
    path: str,
    sidecar: Sidecar,
    served: ServedPort | None,
    usual: tuple[ConnectionPoolSettings | None, str],
) -> Entrance:
    pool, address = usual
    host, colon, port = listed.default_endpoint.rpartition(":")
    to = f"{address}:{port}" if colon and host.strip("[]") in _INSTANCE else listed.default_endpoint
    return Entrance(
        number=listed.port.number,
        protocol=protocol_named(listed.port.protocol, listed.port.number),
        known_as=_known_as(listed, served, sidecar),
        service_port=listed.port.number,
        served=served,
        path=path,
        bind="" if listed.bind in _INSTANCE else listed.bind,
        socket=listed.capture_mode == "NONE",
        to=to,
        pool=listed.connection_pool or pool,
        tls=listed.tls,
    )


def _known_as(listed: IstioIngressListener, served: ServedPort | None, sidecar: Sidecar) -> str:
    if served is not None:
        return f"{served.service.hostname}:{served.port.number}"
    return f"{sidecar.metadata.namespace}/{sidecar.metadata.name}:{listed.port.number}"
