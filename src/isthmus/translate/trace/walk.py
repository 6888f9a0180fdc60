"""The walk itself: listener, filter chain, network filters, route, upstream, endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import msgspec

from isthmus.envoy.types import (
    EnvoyHttpFilter,
    FilterChain,
    HttpConnectionManager,
    Listener,
    NetworkSetFilterState,
    RouteConfiguration,
    TcpProxy,
    VirtualHost,
)
from isthmus.translate.names import VIRTUAL_INBOUND, VIRTUAL_OUTBOUND
from isthmus.translate.trace import datagrams, early_headers
from isthmus.translate.trace.call import Call, Request, Speech, Untraceable
from isthmus.translate.trace.chains import choose
from isthmus.translate.trace.enums import enum_name
from isthmus.translate.trace.facts import Facts, facts_of, with_request
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.judgement import Judged, is_guard, judged, meant_by
from isthmus.translate.trace.listener_filters import Seen, seen
from isthmus.translate.trace.outcome import Asked, outcomes
from isthmus.translate.trace.path import arriving
from isthmus.translate.trace.reports import logs, tracing
from isthmus.translate.trace.routing import Found, route
from isthmus.translate.trace.steps import (
    Action,
    Answer,
    Branch,
    Closed,
    Forward,
    ListenerStep,
    Redirect,
    Trace,
    Verdict,
)
from isthmus.translate.trace.transport import ending_at, refusal
from isthmus.translate.trace.upstream_view import Sent, upstream_share
from isthmus.translate.trace.well_formed import malformed

_NETWORK = frozenset({"tcp_proxy", "http_connection_manager", "set_filter_state"})
_HTTP = frozenset({"fault", "cors", "router", "grpc_stats", "grpc_web", "dynamic_forward_proxy"})
"""Filters of which it is known what they do to a call, by their types: people name filters as they like."""
_ALPN = "envoy.network.application_protocols"


class Side(Enum):
    """Where a call meets the proxy."""

    OUTBOUND = "outbound"  # from the application beside it, captured
    INBOUND = "inbound"  # to that application, captured
    GATEWAY = "gateway"  # to a socket of the proxy's own


def trace(held: Held, call: Call, side: Side) -> Trace:
    """What the Envoy that holds `held` does with `call`.

    Raises `Untraceable` where the resources say something that is not known here.
    """
    if call.speech is Speech.DATAGRAMS:
        return datagrams.leaving(held, call) if side is Side.OUTBOUND else datagrams.arriving(held, call)
    listener, why = _listener(held, call, side)
    if listener is None:
        return _ended(call, None, Closed(why=why))
    found = seen(listener, call)
    if found.timed_out and not listener.continue_on_listener_filters_timeout:
        step = ListenerStep(listener=listener.name, chain="", why=why, seen=str(found))
        return _ended(call, step, Closed(why="the listener waits for the caller to speak first"))
    chain = choose(listener, call, found)
    if chain is None:
        step = ListenerStep(listener=listener.name, chain="", why=why, seen=str(found))
        return _ended(call, step, Closed(why="no filter chain matches"))
    step = _listener_step(listener, chain, why, found)
    if refused := refusal(step.tls, call.hello):
        return _ended(call, step, Closed(why=f"the TLS handshake fails: {refused}"))
    is_told = any(each.name.endswith(".proxy_protocol") for each in listener.listener_filters)
    made = _through(held, call, chain, (step, facts_of(call, step.tls, is_told=is_told)))
    return msgspec.structs.replace(made, unexamined=(*_unexamined(chain), *made.unexamined))


def _ended(call: Call, step: ListenerStep | None, action: Action) -> Trace:
    return Trace(call=call, listener=step, branches=(Branch(share=100.0, route=None, action=action),))


def _listener(held: Held, call: Call, side: Side) -> tuple[Listener | None, str]:
    """The listener that gets the connection, and how it was found."""
    match side:
        case Side.INBOUND:
            own = _bound_to(held, call, inbound=True)
            return (own, "by its own socket") if own else (held.listeners.get(VIRTUAL_INBOUND), "captured")
        case Side.GATEWAY:
            return _bound_to(held, call), "by its own socket"
    first = held.listeners.get(VIRTUAL_OUTBOUND)
    if first is None:
        return None, f"there is no listener {VIRTUAL_OUTBOUND}"
    if not first.use_original_dst.value:
        return first, "captured"
    by_address = {place: each for each in held.listeners.values() for place in _places(each)}
    if call.address and (own := by_address.get((call.address, call.port))):
        return own, "by address and port"
    # The socket of captured calls is at its own port of every address; whoever calls that stays there.
    anywhere = by_address.get((_anywhere(call), call.port))
    if anywhere is not None:
        return anywhere, "by port, at any address"
    return first, "no other listens there"


def _bound_to(held: Held, call: Call, *, inbound: bool = False) -> Listener | None:
    for each in held.listeners.values():
        if inbound and enum_name(each, "traffic_direction") != "INBOUND":
            continue
        bound = not each.HasField("bind_to_port") or each.bind_to_port.value
        if bound and {(_anywhere(call), call.port), (call.address, call.port)} & {*_places(each)}:
            return each
    return None


def _places(listener: Listener) -> Iterator[tuple[str, int]]:
    """Where it listens; of UDP nowhere, since TCP may have the same port."""
    for one in (listener.address, *(each.address for each in listener.additional_addresses)):
        if one.socket_address.protocol != one.socket_address.UDP:
            yield one.socket_address.address, one.socket_address.port_value


def _anywhere(call: Call) -> str:
    return "::" if ":" in call.address else "0.0.0.0"


def _listener_step(listener: Listener, chain: FilterChain, why: str, found: Seen) -> ListenerStep:
    return ListenerStep(
        listener=listener.name,
        chain=chain.name or _chain_said(listener, chain),
        why=why,
        seen=str(found),
        tls=ending_at(chain),
        filters=tuple(each.name.removeprefix("envoy.filters.network.") for each in chain.filters),
    )


def _chain_said(listener: Listener, chain: FilterChain) -> str:
    match = chain.filter_chain_match
    parts = [*match.server_names, *match.application_protocols]
    if match.transport_protocol:
        parts.append(match.transport_protocol)
    is_default = listener.HasField("default_filter_chain") and chain == listener.default_filter_chain
    return " ".join(parts) or ("default" if is_default else "any")


def _through(held: Held, call: Call, chain: FilterChain, entered: tuple[ListenerStep, Facts]) -> Trace:
    """On through the chain's network filters, to the one that ends it."""
    step, facts = entered
    said = judged(chain.filters, facts)
    if said.refused is not None:
        ended = _ended(call, step, Closed(why=refused_by(said.refused)))
        return msgspec.structs.replace(ended, verdicts=said.verdicts)
    so_far = SoFar(step, _alpn(chain), facts)
    inside = _uncovered(call, step) if step.tls.mode != "plain" else call
    made = _at_the_end(held, inside, chain, so_far)
    return msgspec.structs.replace(made, verdicts=(*said.verdicts, *made.verdicts))


def refused_by(verdict: Verdict) -> str:
    """Why a call is refused, in a few words."""
    if meant := meant_by(verdict.policy):
        return f"AuthorizationPolicy {meant.namespace}/{meant.name} rules[{meant.rule}] denies it"
    if verdict.policy:
        return f"policy {verdict.policy} denies it"
    return verdict.why or "no rule of an AuthorizationPolicy allows it"


def _alpn(chain: FilterChain) -> tuple[str, ...]:
    offered = [
        _offered(NetworkSetFilterState.FromString(each.typed_config.value))
        for each in chain.filters
        if each.name.endswith(".set_filter_state")
    ]
    return next((each for each in reversed(offered) if each), ())


class SoFar(NamedTuple):
    """What is known of a call where its chain's last filter takes it."""

    step: ListenerStep
    alpn: tuple[str, ...]  # that the connection's own filters ask to offer
    facts: Facts


def _at_the_end(held: Held, inside: Call, chain: FilterChain, so_far: SoFar) -> Trace:
    step = so_far.step
    for each in chain.filters:
        kind = each.typed_config.type_url.rpartition(".")[2]
        if kind == "TcpProxy":
            proxy = TcpProxy.FromString(each.typed_config.value)
            return _bytes(held, inside, proxy, so_far._replace(step=_reporting(step, proxy)))
        if kind == "HttpConnectionManager":
            manager = HttpConnectionManager.FromString(each.typed_config.value)
            return _http(held, inside, manager, so_far._replace(step=_reporting(step, manager)))
    last = chain.filters[-1].name if chain.filters else "none"
    raise Untraceable(f"listener {step.listener}: its last network filter, {last}, is not known to the trace")


def _reporting(step: ListenerStep, last: HttpConnectionManager | TcpProxy) -> ListenerStep:
    return msgspec.structs.replace(step, logs=tuple(logs(last)), tracing=tracing(last))


def _uncovered(call: Call, step: ListenerStep) -> Call:
    """What is in the TLS that ends here, which is no part of what is sent on: a request, where there is one in it."""
    speech = call.speech
    if call.request is not None and speech is Speech.BYTES and call.hello is not None:
        both = [each for each in step.tls.alpn if each in call.hello.alpn]
        speech = Speech.HTTP2 if both[:1] == ["h2"] else Speech.HTTP1
    return msgspec.structs.replace(call, hello=None, speech=speech)


def _unexamined(chain: FilterChain) -> list[str]:
    """Names of the network filters that the walk passes by."""
    types = [(each.name, each.typed_config.type_url) for each in chain.filters]
    return [name for name, type_url in types if _kind(type_url) not in _NETWORK and not is_guard(type_url)]


def _is_known(one: EnvoyHttpFilter) -> bool:
    """Whether it does nothing that the walk does not look at: faults are looked for in routes alone."""
    kind = _kind(one.typed_config.type_url)
    if is_guard(one.typed_config.type_url):
        return True
    return kind in _HTTP and not (kind == "fault" and one.typed_config.value)


def _kind(type_url: str) -> str:
    """`cors` of `…/envoy.extensions.filters.http.cors.v3.Cors`; empty where the type is of another form."""
    parts = type_url.split(".")
    return parts[-3] if len(parts) > 3 else ""


def _offered(config: NetworkSetFilterState) -> tuple[str, ...]:
    for value in config.on_new_connection:
        if value.object_key == _ALPN:
            return tuple(value.format_string.text_format_source.inline_string.split(","))
    return ()


def _bytes(held: Held, call: Call, proxy: TcpProxy, so_far: SoFar) -> Trace:
    step, alpn = so_far.step, so_far.alpn
    weighted = [(one.name, one.weight) for one in proxy.weighted_clusters.clusters] or [(proxy.cluster, 1)]
    whole = sum(weight for _, weight in weighted)
    asked, tunnel = _through_tunnel(call, proxy)
    sent = Sent(asked, alpn=alpn)
    upstreams = tuple(upstream_share(held, name, 100 * weight / whole, sent) for name, weight in weighted)
    return _ended(call, step, Forward(upstreams=upstreams, tunnel=tunnel))


def _through_tunnel(call: Call, proxy: TcpProxy) -> tuple[Call, str]:
    """What is sent in place of the call's bytes where they go through an HTTP proxy, and that in words."""
    if not proxy.HasField("tunneling_config"):
        return call, ""
    target = proxy.tunneling_config.hostname
    method, path = ("POST", "/") if proxy.tunneling_config.use_post else ("CONNECT", "")
    request = Request(method=method, host=target, path=path)
    asked = msgspec.structs.replace(call, request=request, speech=Speech.HTTP1, hello=None)
    return asked, f"{method} {target}"


def _http(held: Held, call: Call, manager: HttpConnectionManager, so_far: SoFar) -> Trace:
    step = so_far.step
    if call.hello is not None or not call.speech.is_http or call.request is None:
        said = "TLS" if call.hello is not None else call.speech.value
        return _ended(call, step, Closed(why=f"HTTP is expected here, and the caller sends {said}"))
    path = arriving(manager, call.request)
    if (none := malformed(call, path)) is not None:
        return _ended(call, step, none)
    request = early_headers.taken_in(manager, msgspec.structs.replace(call.request, path=path or ""))
    config = _routes(held, manager)
    if config is None:
        why = f"the listener waits for its routes {manager.rds.route_config_name}"
        return _ended(call, step, Closed(why=why))
    ruled = judged(manager.http_filters, with_request(so_far.facts, manager, request, call.speech.value))
    if ruled.refused is not None:
        action = Answer(status=ruled.refused.status, why=refused_by(ruled.refused))
        ended = _ended(call, step, action)
        return msgspec.structs.replace(ended, verdicts=ruled.verdicts)
    # Routes are looked at with the path as it came, and with what filters found out if they had it done anew.
    seen_then = ruled.routed.request or request
    found = route(config, msgspec.structs.replace(request, headers=seen_then.headers), ruled.routed.metadata)
    inside = msgspec.structs.replace(call, request=ruled.facts.request)
    must_be_tls = found.host is not None and _must_be_tls(found.host, request)
    return Trace(
        call=call,
        listener=step,
        branches=tuple(_branches(held, inside, found, so_far.alpn)),
        near_misses=() if must_be_tls else found.missed,
        later=() if must_be_tls else found.later,
        unexamined=(*_unknown_filters(manager), *_settings_of_routes(found, ruled)),
        verdicts=ruled.verdicts,
    )


def _unknown_filters(manager: HttpConnectionManager) -> Iterator[str]:
    yield from early_headers.unknown(manager)
    yield from (each.name for each in manager.http_filters if not _is_known(each))


def _settings_of_routes(found: Found, said: Judged) -> Iterator[str]:
    """Guards of which a route has settings of its own, which are not looked at."""
    levels = (*(each.route for each in found.taken), *found.above)
    names = {name for level in levels for name in level.typed_per_filter_config}
    return (name for name in dict.fromkeys(each.filter for each in said.verdicts) if name in names)


def _routes(held: Held, manager: HttpConnectionManager) -> RouteConfiguration | None:
    match manager.WhichOneof("route_specifier"):
        case "route_config":
            return manager.route_config
        case "rds":
            return held.routes.get(manager.rds.route_config_name)
        case other:
            raise Untraceable(f"routes come by {other}, which the trace does not know")


def _branches(held: Held, call: Call, found: Found, alpn: tuple[str, ...]) -> list[Branch]:
    request = call.request or Request()
    if found.host is None:
        return [Branch(share=100.0, route=None, action=Answer(status=404, why="no virtual host for it"))]
    if _must_be_tls(found.host, request) and request.method == "CONNECT":
        why = "it must come in TLS, and what has no path cannot be redirected"
        return [Branch(share=100.0, route=None, action=Answer(status=403, why=why))]
    if _must_be_tls(found.host, request):
        target = f"https://{request.host}{request.path}"
        why = "the gateway's server takes https alone"
        return [Branch(share=100.0, route=None, action=Redirect(status=301, location=target, why=why))]
    made = [
        Branch(share=100 * one.share * each.share, route=one.step, action=each.action, answers=each.answers)
        for one in found.taken
        for each in outcomes(held, Asked(one.route, found.above, alpn), call)
    ]
    left = 100.0 - sum(one.share for one in made)
    if left > 1e-9:
        nothing = Answer(status=404, why=f"no route of virtual host {found.host.name} matches")
        made.append(Branch(share=left, route=None, action=nothing))
    return made


def _must_be_tls(host: VirtualHost, request: Request) -> bool:
    return host.require_tls == VirtualHost.ALL and request.scheme != "https"
