"""What becomes of a request that a route has taken: sent on, redirected or answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from isthmus.envoy.types import (
    CorsRoutePolicy,
    FractionalPercent,
    HTTPFault,
    RedirectAction,
    Route,
    RouteAction,
    WeightedCluster,
)
from isthmus.translate.trace.call import Call, Request, Speech, Untraceable
from isthmus.translate.trace.header_changes import Level, of_answers, of_requests, sent_on
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.path import substituted
from isthmus.translate.trace.steps import Action, Answer, Forward, HeaderChange, Redirect, UpstreamShare
from isthmus.translate.trace.text_match import text_matches
from isthmus.translate.trace.upstream_view import Sent, upstream_share

_FAULT, _CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"
_CODES = (301, 302, 303, 307, 308)  # by RedirectAction.RedirectResponseCode


class Asked(NamedTuple):
    """A route that takes a request, with what is around it."""

    route: Route
    above: Sequence[Level] = ()  # that change headers too, nearest first
    alpn: tuple[str, ...] = ()  # that the connection's own filters ask to offer


class Outcome(NamedTuple):
    """One thing that a route does with a share of the requests that it takes, 0 to 1."""

    share: float
    action: Action
    answers: tuple[HeaderChange, ...] = ()  # what is done to the headers of answers


def outcomes(held: Held, asked: Asked, call: Call) -> Iterator[Outcome]:
    """What the route does with the call's request: what it refuses on purpose, and the rest."""
    own, request = asked.route, call.request or Request()
    changes = tuple(each for level in (own, *asked.above) for each in of_answers(level))
    refused, answer = refusal(own)
    if refused:
        for part, of_share in _changes_of_shares(own):
            yield Outcome(refused * part, answer, (*of_share, *changes))
    if refused >= 1:
        return
    if answered := preflight(own, request):
        yield Outcome(1 - refused, Answer(status=200, why=answered))
    else:
        yield Outcome(1 - refused, _action(held, asked, call), changes)


def _changes_of_shares(own: Route) -> Iterator[tuple[float, tuple[HeaderChange, ...]]]:
    """What the route's shares do to answers, with their part of the whole: Envoy draws the share before it refuses."""
    parts: dict[tuple[HeaderChange, ...], int] = {}
    for one in own.route.weighted_clusters.clusters:
        parts[of_answers(one)] = parts.get(of_answers(one), 0) + one.weight.value
    parts = parts or {(): 1}
    yield from ((weight / sum(parts.values()), changes) for changes, weight in parts.items() if weight)


def _action(held: Held, asked: Asked, call: Call) -> Action:
    own, request = asked.route, call.request or Request()
    match own.WhichOneof("action"):
        case "redirect":
            status = _CODES[own.redirect.response_code]
            return Redirect(status=status, location=location(own, own.redirect, request))
        case "direct_response":
            return Answer(status=own.direct_response.status, why="the rule says so")
        case "route":
            return _forward(held, asked, call)
        case other:
            raise Untraceable(f"route {own.name!r} does {other}, which the trace does not know")


def preflight(own: Route, request: Request) -> str:
    """Why the CORS filter answers in place of the upstream; empty where it does not.

    Source: Envoy's CORS filter reference.
    """
    origin = request.value("origin")
    asks = request.method == "OPTIONS" and request.value("access-control-request-method")
    if not origin or not asks or _CORS not in own.typed_per_filter_config:
        return ""
    policy = CorsRoutePolicy.FromString(own.typed_per_filter_config[_CORS].value)
    if any(text_matches(each, origin) for each in policy.allow_origin_string_match):
        return "a CORS preflight from an origin that the rule allows"
    passed = (
        not policy.HasField("forward_not_matching_preflights") or policy.forward_not_matching_preflights.value
    )
    return "" if passed else "a CORS preflight from an origin that the rule does not allow"


def _forward(held: Held, asked: Asked, call: Call) -> Forward:
    own, action, request = asked.route, asked.route.route, call.request or Request()
    timeout = action.timeout.seconds + action.timeout.nanos / 1e9 if action.HasField("timeout") else 15.0
    return Forward(
        upstreams=tuple(_upstreams(held, asked, call)),
        timeout_s=timeout,
        retries=_retries(action),
        retry_on=_retry_on(action),
        mirrors=tuple(_mirrors(held, action, Sent(call, request))),
        faults=tuple(delays(own)),
    )


def _mirrors(held: Held, action: RouteAction, sent: Sent) -> Iterator[str]:
    for one in action.request_mirror_policies:
        share = percent(one.runtime_fraction.default_value)
        served = any(each.serves for each in upstream_share(held, one.cluster, share, sent).endpoints)
        yield f"{one.cluster} {share:g} %" + ("" if served else ", which nobody serves")


def _retry_on(action: RouteAction) -> str:
    """When a request is tried again, statuses in place of the word that stands for them."""
    codes = ",".join(map(str, action.retry_policy.retriable_status_codes))
    return action.retry_policy.retry_on.replace("retriable-status-codes", codes or "retriable-status-codes")


def _retries(action: RouteAction) -> int:
    policy = action.retry_policy
    if not policy.retry_on:
        return 0
    return policy.num_retries.value if policy.HasField("num_retries") else 1


def _upstreams(held: Held, asked: Asked, call: Call) -> Iterator[UpstreamShare]:
    action = asked.route.route
    if any(each.HasField("connect_config") for each in action.upgrade_configs):
        call = replace(call, speech=Speech.BYTES)  # what follows CONNECT, whatever it is
    match action.WhichOneof("cluster_specifier"):
        case "cluster":
            yield upstream_share(held, action.cluster, 100.0, _sent(asked, call))
        case "weighted_clusters":
            several = action.weighted_clusters.clusters
            whole = sum(one.weight.value for one in several)
            for one in several:
                if one.weight.value:
                    share = upstream_share(
                        held, one.name, 100 * one.weight.value / whole, _sent(asked, call, one)
                    )
                    yield replace(share, answers=of_answers(one))
        case "cluster_header":
            request = call.request or Request()
            yield upstream_share(held, request.value(action.cluster_header) or "", 100.0, _sent(asked, call))
        case other:
            raise Untraceable(
                f"route {asked.route.name!r} names its upstream by {other}, unknown to the trace"
            )


def _sent(asked: Asked, call: Call, share: WeightedCluster.ClusterWeight | None = None) -> Sent:
    """What the route makes of the request, or the route's `share` of it."""
    own, request = asked.route, call.request or Request()
    levels: list[Level] = [*([share] if share else []), own, *asked.above]
    host = rewritten_host(own.route, request)
    if share is not None and own.route.WhichOneof("host_rewrite_specifier") is None:
        host = share.host_rewrite_literal or host  # the route's is written last
    changed = sent_on(request, [of_requests(level) for level in levels])
    return Sent(call, replace(changed, host=host, path=rewritten_path(own, request)), asked.alpn)


def rewritten_host(action: RouteAction, request: Request) -> str:
    """The host that the upstream is asked for; `auto_host_rewrite` depends on the endpoint's name."""
    match action.WhichOneof("host_rewrite_specifier"):
        case "host_rewrite_literal":
            return action.host_rewrite_literal
        case "host_rewrite_header":
            return request.value(action.host_rewrite_header) or request.host
        case "auto_host_rewrite" if action.auto_host_rewrite.value:
            return "(the endpoint's name)"
        case _:
            return request.host


def rewritten_path(own: Route, request: Request) -> str:
    """The path that the upstream is asked for, with its query."""
    action = own.route
    if action.HasField("regex_rewrite"):
        return substituted(action.regex_rewrite, request.path)
    if action.prefix_rewrite:
        return action.prefix_rewrite + request.path[_matched(own, request) :]
    return request.path


def _matched(own: Route, request: Request) -> int:
    """How much of the path the match has taken."""
    match own.match.WhichOneof("path_specifier"):
        case "prefix":
            return len(own.match.prefix)
        case "path_separated_prefix":
            return len(own.match.path_separated_prefix)
        case _:
            return len(request.bare_path)


def location(own: Route, redirect: RedirectAction, request: Request) -> str:
    """Where a redirect leads. Source: RedirectAction reference."""
    scheme = redirect.scheme_redirect or ("https" if redirect.https_redirect else request.scheme)
    port = f":{redirect.port_redirect}" if redirect.port_redirect else ""
    host = redirect.host_redirect or _host_without_port(request, scheme, port)
    path = _redirected_path(own, redirect, request)
    return f"{scheme}://{host}{port}{path}"


def _redirected_path(own: Route, redirect: RedirectAction, request: Request) -> str:
    path, query_mark, query = request.path.partition("?")
    rest = "" if redirect.strip_query else f"{query_mark}{query}"
    match redirect.WhichOneof("path_rewrite_specifier"):
        case "path_redirect" if "?" in redirect.path_redirect:
            return redirect.path_redirect
        case "path_redirect" if redirect.path_redirect:
            return redirect.path_redirect + rest
        case "prefix_rewrite" if redirect.prefix_rewrite:
            return redirect.prefix_rewrite + path[_matched(own, request) :] + rest
        case "regex_rewrite":
            return substituted(redirect.regex_rewrite, path) + rest
        case _:
            return path + rest


def _host_without_port(request: Request, scheme: str, port: str) -> str:
    """The asked host; without its port where another is given, or where it was the old scheme's usual one."""
    host = request.host
    colon = host.rfind(":") if not host.startswith("[") else host.rfind("]:") + 1 or -1
    if colon < 0:
        return host
    usual = {"http": ":80", "https": ":443"}.get(request.scheme)
    if port or (scheme != request.scheme and host[colon:] == usual):
        return host[:colon]
    return host


def delays(own: Route) -> Iterator[str]:
    """How the route's rule delays requests on purpose, in words."""
    fault = _fault(own)
    if fault.HasField("delay"):
        delay = fault.delay.fixed_delay.seconds + fault.delay.fixed_delay.nanos / 1e9
        yield f"delay of {delay:g} s for {percent(fault.delay.percentage):g} %"


def refusal(own: Route) -> tuple[float, Answer]:
    """The share of requests that the route's rule refuses on purpose, 0 to 1, and how."""
    abort = _fault(own).abort
    share = min(1.0, percent(abort.percentage) / 100)
    match abort.WhichOneof("error_type"):
        case "http_status":
            return share, Answer(status=abort.http_status, why="a fault that the rule makes on purpose")
        case "grpc_status":
            why = f"a fault that the rule makes on purpose, gRPC status {abort.grpc_status}"
            return share, Answer(status=200, why=why)  # of HTTP, whatever the caller speaks
        case _:
            return 0.0, Answer(status=0)


def _fault(own: Route) -> HTTPFault:
    if _FAULT not in own.typed_per_filter_config:
        return HTTPFault()
    return HTTPFault.FromString(own.typed_per_filter_config[_FAULT].value)


def percent(fraction: FractionalPercent) -> float:
    """A fraction in per cent."""
    parts = {fraction.HUNDRED: 1, fraction.TEN_THOUSAND: 100, fraction.MILLION: 10_000}
    return fraction.numerator / parts[fraction.denominator]
