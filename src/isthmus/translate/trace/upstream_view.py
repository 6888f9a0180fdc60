"""One upstream as a call finds it: what is spoken to it, and where its endpoints are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from isthmus.envoy.types import Cluster, UpstreamHttpProtocolOptions
from isthmus.kit.ip import authority
from isthmus.translate.names import LOCAL
from isthmus.translate.trace.call import Call, Request, Speech
from isthmus.translate.trace.endpoint_shares import NOBODY, Callers, endpoint_shares
from isthmus.translate.trace.enums import enum_name
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.steps import EndpointShare, Tls, UpstreamShare
from isthmus.translate.trace.transport import towards
from isthmus.translate.upstream_policy import UNLIMITED

_BY_NAME = "envoy.clusters.dynamic_forward_proxy"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_LIMITED = {
    "max_connections": "connections",
    "max_pending_requests": "requests waiting",
    "max_requests": "requests at once",
    "max_retries": "retries at once",
}


class Sent(NamedTuple):
    """What is sent to an upstream: the call, and what its request has become."""

    call: Call
    request: Request = Request(path="")
    alpn: tuple[str, ...] = ()  # that the connection's own filters ask to offer

    @property
    def changed_headers(self) -> tuple[tuple[str, str], ...] | None:
        """The headers of the request, where they are not those that the caller said."""
        said = self.call.request.headers if self.call.request is not None else ()
        return None if self.request.headers == said else self.request.headers


def upstream_share(held: Held, name: str, share: float, sent: Sent) -> UpstreamShare:
    """The upstream `name` with `share` per cent of the calls. One that is not held answers 503."""
    upstream = held.upstreams.get(name)
    if upstream is None:
        return UpstreamShare(
            name=name,
            share=share,
            exists=False,
            host=sent.request.host,
            path=sent.request.path,
            headers=sent.changed_headers,
        )
    speech = spoken_to(upstream, sent.call.speech)
    return UpstreamShare(
        name=name,
        share=share,
        kind=kind_of(upstream),
        balancing=_balancing(upstream),
        speech=speech.value,
        host=sent.request.host,
        path=sent.request.path,
        headers=sent.changed_headers,
        config=config_of(upstream, "destination-rule"),
        outlier=_outlier(upstream),
        is_automatic=bool(upstream.transport_socket_matches),
        limits=tuple(_limits(upstream)),
        connect_timeout_s=upstream.connect_timeout.seconds + upstream.connect_timeout.nanos / 1e9,
        endpoints=_endpoints(held, upstream, sent),
    )


def spoken_to(upstream: Cluster, speech: Speech) -> Speech:
    """The HTTP that an upstream is spoken to when callers speak `speech`; bytes stay bytes."""
    if not speech.is_http:
        return speech
    packed = upstream.typed_extension_protocol_options.get(_HTTP_OPTIONS)
    if packed is None:
        return Speech.HTTP2 if upstream.HasField("http2_protocol_options") else Speech.HTTP1
    options = UpstreamHttpProtocolOptions.FromString(packed.value)
    match options.WhichOneof("upstream_protocol_options"):
        case "use_downstream_protocol_config":
            return speech
        case "explicit_http_config":
            is_http2 = options.explicit_http_config.HasField("http2_protocol_options")
            return Speech.HTTP2 if is_http2 else Speech.HTTP1
        case _:
            return Speech.HTTP1


def kind_of(upstream: Cluster) -> str:
    """EDS, STATIC, STRICT_DNS, LOGICAL_DNS or ORIGINAL_DST; of clusters by extension its name."""
    if upstream.HasField("cluster_type"):
        return str(upstream.cluster_type.name)
    return enum_name(upstream, "type")


def config_of(found: Cluster, kind: str) -> str:
    """`namespace/name` of the object that its metadata names; empty where it names none of that kind."""
    if "istio" not in found.metadata.filter_metadata:
        return ""
    return named_config(found.metadata.filter_metadata["istio"].fields["config"].string_value, kind)


def named_config(path: str, kind: str) -> str:
    """`namespace/name` out of `/apis/…/namespaces/NAMESPACE/KIND/NAME`."""
    namespace, _, name = path.rpartition("/namespaces/")[2].partition(f"/{kind}/")
    return f"{namespace}/{name}" if name else ""


def _endpoints(held: Held, upstream: Cluster, sent: Sent) -> tuple[EndpointShare, ...]:
    match kind_of(upstream):
        case "ORIGINAL_DST":
            where = authority(sent.call.address or "(as the caller resolved it)", sent.call.port)
            return (EndpointShare(address=where, share=100.0, tls=towards(upstream, None, sent.alpn)),)
        case kind if kind == _BY_NAME:
            tls = towards(upstream, None, sent.alpn)
            return (EndpointShare(address=_asked(sent.call, tls), share=100.0, tls=tls),)
        case "EDS":
            name = upstream.eds_cluster_config.service_name or upstream.name
            assignment = held.assignments.get(name)
        case _:
            assignment = upstream.load_assignment
    likes = held.assignments.get(LOCAL)
    callers = Callers(held.here, likes) if likes is not None else NOBODY
    return endpoint_shares(upstream, assignment, sent.alpn, callers) if assignment is not None else ()


def _asked(call: Call, tls: Tls) -> str:
    """The host and port that a request itself names. Source: Envoy's dynamic forward proxy reference."""
    host = call.request.host if call.request is not None else ""
    last = host.rpartition("]")[2]
    usual = 80 if tls.mode == "plain" else 443
    return host if ":" in last else f"{host or '(no host)'}:{usual}"


def _balancing(upstream: Cluster) -> str:
    return enum_name(upstream, "lb_policy").lower().replace("_", " ")


def _limits(upstream: Cluster) -> Iterator[str]:
    """What its circuit breakers let through at once, where they limit anything."""
    for each in upstream.circuit_breakers.thresholds:
        for name, what in _LIMITED.items():
            if each.HasField(name) and getattr(each, name).value != UNLIMITED:
                yield f"{getattr(each, name).value} {what}"


def _outlier(upstream: Cluster) -> str:
    """When an endpoint is put aside, in a few words."""
    if not upstream.HasField("outlier_detection"):
        return ""
    found = upstream.outlier_detection
    words = []
    if found.enforcing_consecutive_5xx.value or not found.HasField("enforcing_consecutive_5xx"):
        words.append(f"{found.consecutive_5xx.value or 5} errors")
    if found.enforcing_consecutive_gateway_failure.value:
        words.append(f"{found.consecutive_gateway_failure.value or 5} answers of 502 to 504")
    if found.split_external_local_origin_errors:
        words.append(f"{found.consecutive_local_origin_failure.value or 5} failed connections")
    return "after " + " or ".join(words) if words else ""
