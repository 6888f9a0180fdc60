"""What becomes of a request that a route has taken: sent on, redirected or answered."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

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
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.path import substituted
from isthmus.translate.trace.steps import Action, Answer, Forward, Redirect, UpstreamShare
from isthmus.translate.trace.text_match import text_matches
from isthmus.translate.trace.upstream_view import Sent, upstream_share

_FAULT, _CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"
_CODES = (301, 302, 303, 307, 308)  # by RedirectAction.RedirectResponseCode


def outcome(held: Held, own: Route, call: Call, alpn: tuple[str, ...]) -> Action:
    """What `own` does with the call's request."""
    request = call.request or Request()
    match own.WhichOneof("action"):
        case "redirect":
            status = _CODES[own.redirect.response_code]
            return Redirect(status=status, location=location(own, own.redirect, request))
        case "direct_response":
            return Answer(status=own.direct_response.status, why="the rule says so")
        case "route" if is_answered_preflight(own, request):
            return Answer(status=200, why="a CORS preflight from an origin that the rule allows")
        case "route":
            return _forward(held, own, call, alpn)
        case other:
            raise Untraceable(f"route {own.name!r} does {other}, which the trace does not know")


def is_answered_preflight(own: Route, request: Request) -> bool:
    """Whether the CORS filter answers in place of the upstream. Source: Envoy's CORS filter reference."""
    origin = request.value("origin")
    asks = request.method == "OPTIONS" and request.value("access-control-request-method")
    if not origin or not asks or _CORS not in own.typed_per_filter_config:
        return False
    policy = CorsRoutePolicy.FromString(own.typed_per_filter_config[_CORS].value)
    return any(text_matches(each, origin) for each in policy.allow_origin_string_match)


def _forward(held: Held, own: Route, call: Call, alpn: tuple[str, ...]) -> Forward:
    action = own.route
    timeout = action.timeout.seconds + action.timeout.nanos / 1e9 if action.HasField("timeout") else 15.0
    return Forward(
        upstreams=tuple(_upstreams(held, own, call, alpn)),
        timeout_s=timeout,
        retries=_retries(action),
        retry_on=action.retry_policy.retry_on,
        mirrors=tuple(
            f"{one.cluster} {percent(one.runtime_fraction.default_value):g} %"
            for one in action.request_mirror_policies
        ),
        faults=tuple(faults(own)),
    )


def _retries(action: RouteAction) -> int:
    policy = action.retry_policy
    if not policy.retry_on:
        return 0
    return policy.num_retries.value if policy.HasField("num_retries") else 1


def _upstreams(held: Held, own: Route, call: Call, alpn: tuple[str, ...]) -> Iterator[UpstreamShare]:
    action, request = own.route, call.request or Request()
    if any(each.HasField("connect_config") for each in action.upgrade_configs):
        call = msgspec.structs.replace(call, speech=Speech.BYTES)  # what follows CONNECT, whatever it is
    host, path = rewritten_host(action, request), rewritten_path(own, request)
    match action.WhichOneof("cluster_specifier"):
        case "cluster":
            yield upstream_share(held, action.cluster, 100.0, Sent(call, host, path, alpn))
        case "weighted_clusters":
            several = action.weighted_clusters.clusters
            whole = sum(one.weight.value for one in several)
            for one in several:
                if one.weight.value:
                    sent = Sent(call, _share_host(one) or host, path, alpn)
                    yield upstream_share(held, one.name, 100 * one.weight.value / whole, sent)
        case "cluster_header":
            name = request.value(action.cluster_header) or ""
            yield upstream_share(held, name, 100.0, Sent(call, host, path, alpn))
        case other:
            raise Untraceable(f"route {own.name!r} names its upstream by {other}, unknown to the trace")


def _share_host(one: WeightedCluster.ClusterWeight) -> str:
    return one.host_rewrite_literal


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


def faults(own: Route) -> Iterator[str]:
    """Delays and refusals that the route's rule makes on purpose, in words."""
    if _FAULT not in own.typed_per_filter_config:
        return
    fault = HTTPFault.FromString(own.typed_per_filter_config[_FAULT].value)
    if fault.HasField("delay"):
        delay = fault.delay.fixed_delay.seconds + fault.delay.fixed_delay.nanos / 1e9
        yield f"delay of {delay:g} s for {percent(fault.delay.percentage):g} %"
    if fault.HasField("abort"):
        kind = fault.abort.WhichOneof("error_type") or ""
        what = f"{kind.replace('_', ' ')} {getattr(fault.abort, kind)}" if kind != "header_abort" else kind
        yield f"answer of {what} for {percent(fault.abort.percentage):g} %"


def percent(fraction: FractionalPercent) -> float:
    """A fraction in per cent."""
    parts = {fraction.HUNDRED: 1, fraction.TEN_THOUSAND: 100, fraction.MILLION: 10_000}
    return fraction.numerator / parts[fraction.denominator]
