"""Which filter chain takes a connection, by Envoy's order of precedence.

Source: FilterChainMatch reference. Port, address, server name, transport, application protocol, then the
caller's side: at each step the most specific that fits is taken, and what is lost by that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from isthmus.envoy.types import CidrRange, FilterChain, FilterChainMatch, Listener
from isthmus.translate.trace.call import Call, Untraceable
from isthmus.translate.trace.listener_filters import Seen

Score = Callable[[FilterChainMatch], int | None]
"""How specific a match is for a connection: more is better; None where it does not fit."""


def choose(listener: Listener, call: Call, found: Seen) -> FilterChain | None:
    """The chain that takes `call`; None where none does, not even by default."""
    if listener.HasField("filter_chain_matcher"):
        raise Untraceable(f"listener {listener.name}: its filter_chain_matcher is not known to the trace")
    left: Sequence[FilterChain] = list(listener.filter_chains)
    for score in _steps(call, found):
        left = _best(left, score)
    if left:
        return left[0]
    return listener.default_filter_chain if listener.HasField("default_filter_chain") else None


def _best(chains: Iterable[FilterChain], score: Score) -> list[FilterChain]:
    scored = [(points, each) for each in chains if (points := score(each.filter_chain_match)) is not None]
    most = max((points for points, _ in scored), default=0)
    return [each for points, each in scored if points == most]


def _steps(call: Call, found: Seen) -> tuple[Score, ...]:
    def port(match: FilterChainMatch) -> int | None:
        if not match.HasField("destination_port"):
            return 0
        return 1 if match.destination_port.value == call.port else None

    return (
        port,
        lambda match: _within(match.prefix_ranges, call.address),
        lambda match: _server_name(match.server_names, found.sni),
        lambda match: _exact(match.transport_protocol, found.transport),
        lambda match: _protocol(match.application_protocols, found.protocols),
        lambda match: _within(match.direct_source_prefix_ranges, call.source),
        lambda match: _source_type(match, call),
        lambda match: _within(match.source_prefix_ranges, call.source),
        lambda match: 0 if not match.source_ports else None,
    )


def _within(ranges: Iterable[CidrRange], address: str) -> int | None:
    """The length of the longest range that `address` is in, and one; 0 where any address fits."""
    several = list(ranges)
    if not several:
        return 0
    if not address:
        return None
    where = ip_address(address)
    lengths = [
        each.prefix_len.value
        for each in several
        if where in ip_network(f"{each.address_prefix}/{each.prefix_len.value}", strict=False)
    ]
    return max(lengths) + 1 if lengths else None


def _server_name(names: Iterable[str], sni: str) -> int | None:
    """An exact name before any wildcard, and a longer wildcard before a shorter."""
    several = list(names)
    if not several:
        return 0
    if sni in several:
        return 1_000
    fitting = [len(name) for name in several if name.startswith("*.") and _under(sni, name[1:])]
    return max(fitting) if fitting else None


def _under(sni: str, suffix: str) -> bool:
    return sni.endswith(suffix) and len(sni) > len(suffix)


def _exact(wanted: str, value: str) -> int | None:
    if not wanted:
        return 0
    return 1 if wanted == value else None


def _protocol(wanted: Iterable[str], offered: Sequence[str]) -> int | None:
    """The first protocol that the caller offers counts most."""
    several = list(wanted)
    if not several:
        return 0
    places = [offered.index(each) for each in several if each in offered]
    return len(offered) - min(places) if places else None


def _source_type(match: FilterChainMatch, call: Call) -> int | None:
    if match.source_type == FilterChainMatch.ANY:
        return 0
    is_local = bool(call.source) and (ip_address(call.source).is_loopback or call.source == call.address)
    return 1 if is_local == (match.source_type == FilterChainMatch.SAME_IP_OR_LOOPBACK) else None
