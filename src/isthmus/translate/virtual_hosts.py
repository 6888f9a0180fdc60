"""Virtual hosts as parts of a RouteConfiguration: serialised once, and joined as often as configurations name them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from isthmus.envoy.types import RouteConfiguration, VirtualHost
from isthmus.translate import proto
from isthmus.translate.route_action import LARGEST_ANSWER_BYTES

_VIRTUAL_HOSTS = 2  # field number in RouteConfiguration


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual host as part of a RouteConfiguration, serialised, with the domains that it claims in lower case."""

    domains: tuple[str, ...]
    part: bytes

    @classmethod
    def of(cls, made: VirtualHost) -> Host:
        # Istio's default: those that are called learn by a header whether others have failed before.
        made.include_request_attempt_count = True
        # Envoy compares domains in lower case.
        domains = tuple(domain.lower() for domain in made.domains)
        return cls(domains, proto.joined(_VIRTUAL_HOSTS, [proto.body(made)]))

    @property
    def made(self) -> VirtualHost:
        """The host, read again."""
        return RouteConfiguration.FromString(self.part).virtual_hosts[0]

    def without(self, claimed: Collection[str]) -> Host | None:
        """The host without domains that others claim; None where none is left."""
        made = self.made
        free = [domain for domain in made.domains if domain.lower() not in claimed]
        made.domains[:] = free
        return Host.of(made) if free else None


def without_repetition(hosts: Iterable[Host]) -> list[Host]:
    """`hosts` without domains that one before them claims: Envoy refuses a domain that is there twice."""
    kept: list[Host] = []
    claimed: set[str] = set()
    for host in hosts:
        free = host if claimed.isdisjoint(host.domains) else host.without(claimed)
        if free is not None:
            claimed.update(free.domains)
            kept.append(free)
    return kept


def joined(name: str, hosts: Iterable[Host], *, by_port: bool = False) -> bytes:
    """The RouteConfiguration of these virtual hosts, serialised; `by_port`: their domains name ports."""
    head = RouteConfiguration(
        name=name,
        max_direct_response_body_size_bytes=proto.uint32(LARGEST_ANSWER_BYTES),
        ignore_port_in_host_matching=not by_port,
    )
    # Routes may name upstreams that are not there: those answer 503, the others must not suffer.
    head.validate_clusters.value = False
    return b"".join((proto.body(head), *(host.part for host in hosts)))
