"""Parts that listeners of all kinds are made of: listener filters, and chains that pass bytes on."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.envoy.types import (
    Filter,
    FilterChain,
    FilterChainMatch,
    HttpInspector,
    Listener,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
    OriginalDst,
    OriginalSrc,
    ProxyProtocolListenerFilter,
    TlsInspector,
)
from isthmus.model.families import Families
from isthmus.model.interception import SOURCE_MARK
from isthmus.translate import proto
from isthmus.translate.names import ANY, BLACK_HOLE
from isthmus.translate.network_filters import tcp_proxy

ALWAYS_OPEN = frozenset({15021, 15090})
"""Where every proxy has listeners from its start: readiness and statistics."""
PLAIN_HTTP = ("http/1.1", "h2c")
"""What the HTTP inspector says of plain text that is HTTP."""


def listen(listener: Listener, bind: str, port: int, families: Families) -> None:
    """Sets where it listens: `ANY` stands for all addresses of these families. The listener keeps its name."""
    if bind == ANY and 4 not in families:
        bind = "::"
    listener.address.CopyFrom(proto.address(bind, port))
    if bind == ANY and 6 in families:
        listener.additional_addresses.add().address.CopyFrom(proto.address("::", port))


def original_dst() -> ListenerFilter:
    return ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=proto.any_of(OriginalDst())
    )


def original_src() -> ListenerFilter:
    """Lets upstreams of this host be called from the caller's own address."""
    return ListenerFilter(
        name="envoy.filters.listener.original_src", typed_config=proto.any_of(OriginalSrc(mark=SOURCE_MARK))
    )


def tls_inspector() -> ListenerFilter:
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=proto.any_of(TlsInspector())
    )


def proxy_protocol() -> ListenerFilter:
    """Takes the caller's address from the PROXY protocol, which each connection must speak first."""
    return ListenerFilter(
        name="envoy.filters.listener.proxy_protocol",
        typed_config=proto.any_of(ProxyProtocolListenerFilter()),
    )


def http_inspector(ports: Iterable[int] | None = None) -> ListenerFilter:
    """Finds out whether plain text is HTTP, on all ports or on `ports`.

    It waits for the caller to speak first, so it must not look at ports where that may never happen.
    """
    found = ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=proto.any_of(HttpInspector())
    )
    if ports is not None:
        found.filter_disabled.not_match.CopyFrom(_any_of_ports(sorted(ports)))
    return found


def _any_of_ports(ports: list[int]) -> ListenerFilterChainMatchPredicate:
    rules = []
    for port in ports:
        rule = ListenerFilterChainMatchPredicate()
        rule.destination_port_range.start = port
        rule.destination_port_range.end = port + 1
        rules.append(rule)
    if len(rules) == 1:
        return rules[0]
    return ListenerFilterChainMatchPredicate(or_match=ListenerFilterChainMatchPredicate.MatchSet(rules=rules))


def chain(name: str, match: FilterChainMatch | None, *filters: Filter) -> FilterChain:
    return FilterChain(name=name, filter_chain_match=match, filters=filters)


def loop_guard(name: str, port: int) -> FilterChain:
    """A chain for callers of the capturing port itself: they would be sent in circles."""
    match = FilterChainMatch(destination_port=proto.uint32(port))
    return chain(name, match, tcp_proxy.to_upstream(BLACK_HOLE))
