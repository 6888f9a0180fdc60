"""Servers of Gateways that stay without effect at a proxy, since older ones have their port or their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.resource import Ref
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.translate.gateway_servers import Opened, by_place, side_by_side


def gateway_conflicts(servers: Iterable[Opened]) -> Iterator[Finding]:
    """What is to be said of servers that lose something to older ones."""
    everything = list(servers)
    for several in by_place(everything):
        first = several[0]
        for one in several:
            if one.speech is not first.speech:
                message = (
                    f"port {one.server.port.number} speaks {first.protocol} in Gateway {first.gateway}, "
                    f"and cannot speak {one.protocol} as well (hint: another port)"
                )
                yield _about(one, "port.protocol", message)
    for several in side_by_side(everything):
        yield from _names_lost(several)


def _names_lost(servers: Iterable[Opened]) -> Iterator[Finding]:
    holders: dict[str, Opened] = {}
    for one in servers:
        for name in (one.server_names or ("*",)) if one.ends_tls else ():
            holder = holders.setdefault(name, one)
            if holder is not one:
                message = f"TLS for {name} ends at Gateway {holder.gateway}, which is older (hint: leave it out here)"
                yield _about(one, "hosts", message)


def _about(one: Opened, field: str, message: str) -> Finding:
    meta = one.config.metadata
    return Finding(
        ref=Ref("Gateway", meta.namespace, meta.name),
        path=f"$.spec.servers[{one.number}].{field}",
        message=message,
        severity=Code.SAME_SERVERS.severity,
        code=Code.SAME_SERVERS,
    )
