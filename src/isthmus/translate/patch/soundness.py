"""What Envoy refuses and its rules do not say: found here, since one such patch would cost a whole answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from google.protobuf.message import DecodeError, Message

from isthmus.envoy.rules import violations
from isthmus.envoy.types import (
    Cluster,
    EnvoyHttpFilter,
    Filter,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    RouteConfiguration,
    VirtualHost,
)
from isthmus.translate import proto

_FILTERS = "envoy.extensions.filters."
_LISTENER, _NETWORK, _HTTP = (f"{_FILTERS}{kind}." for kind in ("listener", "network", "http"))
_ENDS = frozenset(
    f"{_NETWORK}{name}"
    for name in (
        "http_connection_manager.v3.HttpConnectionManager",
        "tcp_proxy.v3.TcpProxy",
        "redis_proxy.v3.RedisProxy",
        "thrift_proxy.v3.ThriftProxy",
        "dubbo_proxy.v3.DubboProxy",
        "generic_proxy.v3.GenericProxy",
        "direct_response.v3.Config",
        "echo.v3.Echo",
    )
)
"""Network filters that end their chain. Source: Envoy's reference of each."""
_UNSURE = ("dynamic_modules", "golang", "sip_proxy", "rocketmq", "meta_protocol", "reverse_tunnel")
"""Filters of which their settings say whether they end a chain."""


def fault(message: Message, before: Message | None = None) -> str:
    """Why Envoy would refuse `message`; empty where nothing is known against it. `before` patches it was sound."""
    for path, rule in () if _keeps_rules(before, message) else violations(message):
        return f"{path} {rule}"
    match message:
        case Listener():
            return next(_listener(message), "")
        case RouteConfiguration():
            return next(_routes(message), "")
        case Cluster():
            return next(_upstream(message), "")
    return ""


def _keeps_rules(before: Message | None, after: Message) -> bool:
    """Whether no rule can be broken, as far as is known without looking at virtual hosts that have been looked at."""
    if not isinstance(before, RouteConfiguration) or not isinstance(after, RouteConfiguration):
        return False
    if len(before.virtual_hosts) != len(after.virtual_hosts):
        return False
    rest = RouteConfiguration()
    rest.CopyFrom(after)
    del rest.virtual_hosts[:]
    pairs = zip(before.virtual_hosts, after.virtual_hosts, strict=True)
    return not violations(rest) and all(_is_sound(proto.body(now)) for was, now in pairs if was != now)


@lru_cache(maxsize=4096)
def _is_sound(host: bytes) -> bool:
    return not violations(VirtualHost.FromString(host))


def moved(before: Message, after: Message) -> str:
    """Why a listener's new place would not do, another port; empty where it has none."""
    if not isinstance(before, Listener) or not isinstance(after, Listener):
        return ""
    was, now = (one.address.socket_address.port_value for one in (before, after))
    return f"its port would be {now} (hint: ADD a listener of its own)" if was != now else ""


def ends_chain(one: Filter) -> bool:
    """Whether nothing may come after a network filter."""
    return _type(one.typed_config.type_url) in _ENDS


def _listener(listener: Listener) -> Iterator[str]:
    if not (listener.filter_chains or listener.HasField("default_filter_chain") or _has_no_chains(listener)):
        yield "no filter chain is left (hint: REMOVE the listener)"
    for each in listener.listener_filters:
        yield from _config(each, _LISTENER)
    seen: set[bytes] = set()
    for index, chain in enumerate(listener.filter_chains):
        match = chain.filter_chain_match.SerializeToString(deterministic=True)
        if match in seen and not listener.HasField("filter_chain_matcher"):
            yield f"filter_chains[{index}] matches what one before it matches"
        seen.add(match)
    for index, chain in enumerate((*listener.filter_chains, listener.default_filter_chain)):
        for wrong in _chain(chain):
            yield f"filter_chains[{index}]: {wrong}"


def _has_no_chains(listener: Listener) -> bool:
    return listener.HasField("api_listener") or listener.HasField("udp_listener_config")


def _config(one: Filter | EnvoyHttpFilter | ListenerFilter, prefix: str) -> Iterator[str]:
    """A filter must have its settings, of a type for such filters, or say from where they come."""
    if one.WhichOneof("config_type") == "config_discovery":
        return
    type_ = _type(one.typed_config.type_url)
    if not type_:
        yield f"filter {one.name!r} has no typed_config (hint: one with @type)"
    elif type_.startswith(_FILTERS) and not type_.startswith((prefix, f"{_FILTERS}common.")):
        kind = prefix.removeprefix(_FILTERS).rstrip(".")
        yield f"filter {one.name!r}: {type_} is no {kind} filter"


def _chain(chain: FilterChain) -> Iterator[str]:
    for each in chain.filters:
        yield from _config(each, _NETWORK)
    yield from _order([_type(each.typed_config.type_url) for each in chain.filters], _ENDS, _NETWORK)
    for each in chain.filters:
        if each.typed_config.type_url.endswith(".HttpConnectionManager"):
            yield from _manager(each)


def _manager(one: Filter) -> Iterator[str]:
    try:
        manager = HttpConnectionManager.FromString(one.typed_config.value)
    except DecodeError:
        yield f"{one.name} cannot be read"
        return
    ends = frozenset({f"{_HTTP}router.v3.Router"})
    for each in manager.http_filters:
        yield from _config(each, _HTTP)
    if not manager.http_filters:
        yield "no HTTP filter is left (hint: the last one must be envoy.filters.http.router)"
    yield from _order([_type_of(each) for each in manager.http_filters], ends, _HTTP)
    if manager.HasField("route_config"):
        yield from _routes(manager.route_config)


def _type_of(one: EnvoyHttpFilter) -> str:
    return _type(one.typed_config.type_url)


def _order(types: list[str], ends: Iterable[str], prefix: str) -> Iterator[str]:
    """A filter that ends a chain must be its last one, and its last one must be such."""
    for each in types[:-1]:
        if each in ends:
            yield f"nothing may come after {each} (hint: INSERT_BEFORE it)"
    last = types[-1] if types else ""
    sure = last.startswith(prefix) and not any(word in last for word in _UNSURE)
    if sure and last not in ends:
        yield f"{last} cannot be the last filter (hint: INSERT_BEFORE the last one)"


def _routes(config: RouteConfiguration) -> Iterator[str]:
    claimed: set[str] = set()
    hosts: set[str] = set()
    for host in config.virtual_hosts:
        if host.name in hosts:
            yield f"two virtual hosts are called {host.name!r} (hint: give it a name of its own)"
        hosts.add(host.name)
        for domain in host.domains:
            if domain.lower() in claimed:
                yield f"domain {domain!r} is in two virtual hosts (hint: MERGE into the one that has it)"
            claimed.add(domain.lower())


def _upstream(upstream: Cluster) -> Iterator[str]:
    by_type = upstream.WhichOneof("cluster_discovery_type") != "cluster_type"
    original = by_type and upstream.type == Cluster.ORIGINAL_DST
    if by_type and upstream.type == Cluster.EDS and not upstream.eds_cluster_config.HasField("eds_config"):
        yield "an upstream of type EDS must have eds_cluster_config.eds_config"
    if upstream.HasField("eds_cluster_config") and not (by_type and upstream.type == Cluster.EDS):
        yield "eds_cluster_config is for upstreams of type EDS (hint: REMOVE this one, and ADD another)"
    if original and upstream.HasField("load_assignment"):
        yield "an upstream of type ORIGINAL_DST must have no load_assignment"
    if by_type and upstream.type == Cluster.LOGICAL_DNS and _endpoints(upstream) != 1:
        yield "an upstream of type LOGICAL_DNS must have one endpoint"
    provided = upstream.lb_policy == Cluster.CLUSTER_PROVIDED
    if original and not provided:
        yield "an upstream of type ORIGINAL_DST must have lb_policy CLUSTER_PROVIDED"
    if provided and not original and not upstream.HasField("cluster_type"):
        yield "lb_policy CLUSTER_PROVIDED is for upstreams of type ORIGINAL_DST"


def _endpoints(upstream: Cluster) -> int:
    return sum(len(group.lb_endpoints) for group in upstream.load_assignment.endpoints)


def _type(url: str) -> str:
    return url.rpartition("/")[2]
