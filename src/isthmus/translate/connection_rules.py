"""A VirtualService's rules for connections → to whom a service's connections go, by who calls and which address.

Requests are told apart by conditions, the first that holds; connections by filter chains, the narrowest that fits.
So of two rules for overlapping subnets the one for the narrower subnet counts, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from isthmus.api.istio.virtual_service import (
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from isthmus.envoy.types import CidrRange, FilterChainMatch
from isthmus.translate.destinations import Destinations
from isthmus.translate.errors import at
from isthmus.translate.route_match import MESH, Asker, gateway_name


@dataclass(frozen=True, slots=True)
class TcpRules:
    """The TCP routes that hold for a service, and where they lead."""

    rule: VirtualService
    leads: Destinations


class Part(NamedTuple):
    """Some of the connections, and the route that they take; without subnets: all that are left."""

    number: int  # of the route in its rule
    route: TCPRoute
    called: tuple[str, ...] = ()  # subnets in which the called address is
    callers: tuple[str, ...] = ()  # subnets in which the caller's is

    @property
    def is_rest(self) -> bool:
        return not self.called and not self.callers


def parts(rule: VirtualService, asker: Asker) -> Iterator[Part]:
    """The parts of the connections to `asker`, each subnet once, up to the one that takes all that are left.

    Raises `Unsayable` for what is no subnet.
    """
    taken: set[tuple[str, str]] = set()
    for number, route in enumerate(rule.spec.tcp):
        if not route.match:
            yield Part(number, route)
            return
        for index, match in enumerate(route.match):
            if not holds(match, rule, asker):
                continue
            with at(f"tcp[{number}].match[{index}]"):
                callers = subnets("sourceSubnet", [match.source_subnet] if match.source_subnet else [])
                called = subnets("destinationSubnets", match.destination_subnets)
            caller = "".join(callers)
            free = tuple(each for each in called or ("",) if (each, caller) not in taken)
            taken.update((each, caller) for each in free)
            if free:
                found = Part(number, route, tuple(filter(None, free)), callers)
                yield found
                if found.is_rest:
                    return


class Named(NamedTuple):
    """TLS for some server names, and the route that it takes."""

    number: int  # of the route in its rule
    route: TLSRoute
    names: tuple[str, ...]
    called: tuple[str, ...] = ()  # subnets in which the called address is


def by_name(rule: VirtualService, asker: Asker) -> Iterator[Named]:
    """The TLS connections to `asker` that take routes of their own, in their order.

    Raises `Unsayable` for what is no subnet.
    """
    for number, route in enumerate(rule.spec.tls):
        for index, match in enumerate(route.match):
            if holds(match, rule, asker):
                with at(f"tls[{number}].match[{index}]"):
                    called = subnets("destinationSubnets", match.destination_subnets)
                yield Named(
                    number, route, tuple(dict.fromkeys(sni.lower() for sni in match.sni_hosts)), called
                )


def narrow(match: FilterChainMatch, part: Part) -> None:
    """Makes `match` fit the connections of `part` alone."""
    if part.called:
        del match.prefix_ranges[:]
        match.prefix_ranges.extend(map(cidr, part.called))
    match.source_prefix_ranges.extend(map(cidr, part.callers))


def cidr(subnet: str) -> CidrRange:
    """`10.0.0.0/8` in Envoy's words."""
    network = ip_network(subnet)
    made = CidrRange(address_prefix=str(network.network_address))
    made.prefix_len.value = network.prefixlen
    return made


def subnets(field: str, written: Iterable[str]) -> tuple[str, ...]:
    """The subnets that a condition names, each once. Raises `Unsayable` for what is none.

    The one of all addresses comes in its halves: it is narrower than no subnet at all, and Envoy, to which both
    are as wide, would take either's chain.
    """
    found: list[str] = []
    for index, each in enumerate(written):
        with at(field if field == "sourceSubnet" else f"{field}[{index}]"):
            try:
                network = ip_network(each, strict=False)
                found.extend(map(str, (network,) if network.prefixlen else network.subnets()))
            except ValueError:
                raise ValueError(f"{each!r} is no subnet (hint: 10.0.0.0/8, or one address)") from None
    return tuple(dict.fromkeys(found))


def holds(match: L4MatchAttributes | TLSMatchAttributes, rule: VirtualService, asker: Asker) -> bool:
    """Whether connections to `asker` can meet `match`, but for addresses and names."""
    bound = match.gateways or rule.spec.gateways or (MESH,)
    return (
        (not match.port or match.port == asker.port)
        and (not match.source_namespace or match.source_namespace == asker.namespace)
        and set(match.source_labels.items()) <= set(asker.labels)
        and any(gateway_name(name, rule.metadata.namespace) == asker.gateway for name in bound)
    )
