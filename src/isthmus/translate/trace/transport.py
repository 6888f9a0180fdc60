"""Transport sockets: what stands around the bytes towards an endpoint, or from a caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from isthmus.envoy.types import (
    Cluster,
    CommonTlsContext,
    DownstreamTlsContext,
    FilterChain,
    LbEndpoint,
    ProxyProtocolUpstreamTransport,
    Struct,
    SubjectAltNameMatcher,
    TransportSocket,
    UpstreamTlsContext,
)
from isthmus.translate.trace.call import Hello
from isthmus.translate.trace.enums import enum_name
from isthmus.translate.trace.steps import Tls

_MATCHED = "envoy.transport_socket_match"


def towards(upstream: Cluster, endpoint: LbEndpoint | None, alpn: tuple[str, ...] = ()) -> Tls:
    """What is put around the bytes to `endpoint`; `alpn` is what the connection's own filters ask to offer.

    Source: Cluster reference, transport_socket_matches: the first that the endpoint's metadata meets.
    """
    socket = upstream.transport_socket if upstream.HasField("transport_socket") else None
    if endpoint is not None:
        labels = endpoint.metadata.filter_metadata.get(_MATCHED, Struct())
        for one in upstream.transport_socket_matches:
            if all(labels.fields.get(key) == value for key, value in one.match.fields.items()):
                socket = one.transport_socket
                break
    return _upstream_tls(socket, alpn)


def _upstream_tls(socket: TransportSocket | None, alpn: tuple[str, ...]) -> Tls:
    if socket is not None and socket.typed_config.type_url.endswith("ProxyProtocolUpstreamTransport"):
        outer = ProxyProtocolUpstreamTransport.FromString(socket.typed_config.value)
        version = enum_name(outer.config, "version")
        return msgspec.structs.replace(_upstream_tls(outer.transport_socket, alpn), proxy_line=version)
    if socket is None or not _is_tls(socket):
        return _other(socket)
    context = UpstreamTlsContext.FromString(socket.typed_config.value)
    mode = "mutual" if _has_certificate(context.common_tls_context) else "tls"
    offered = alpn or tuple(context.common_tls_context.alpn_protocols)
    return Tls(mode=mode, sni=context.sni, alpn=offered, expects=_expects(context.common_tls_context))


def ending_at(chain: FilterChain) -> Tls:
    """The TLS that ends at a filter chain; plain where none does."""
    if not chain.HasField("transport_socket") or not _is_tls(chain.transport_socket):
        return _other(chain.transport_socket if chain.HasField("transport_socket") else None)
    context = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    common = context.common_tls_context
    return Tls(
        mode="mutual" if context.require_client_certificate.value else "tls",
        alpn=tuple(common.alpn_protocols),
        expects=_expects(common),
        asks=not context.require_client_certificate.value and _verifies(common),
    )


def _verifies(common: CommonTlsContext) -> bool:
    return common.HasField("combined_validation_context") or common.HasField("validation_context")


def refusal(tls: Tls, hello: Hello | None) -> str:
    """Why a handshake fails at a chain where `tls` ends; empty where it does not."""
    if tls.mode == "plain":
        return ""
    if hello is None:
        return "the caller speaks no TLS"
    if tls.mode == "mutual" and not hello.identity:
        return "the caller shows no certificate"
    if tls.mode == "mutual" and not expected(tls, hello.identity):
        return f"the caller is {hello.identity}, expected is {' or '.join(tls.expects)}"
    return ""


def expected(tls: Tls, identity: str) -> bool:
    """Whether a certificate of `identity` has one of the names that are expected."""
    return not tls.expects or any(_fits(name, identity) for name in tls.expects)


def _fits(name: str, identity: str) -> bool:
    return identity.startswith(name[:-1]) if name.endswith("*") else identity == name


def _is_tls(socket: TransportSocket) -> bool:
    return socket.typed_config.type_url.endswith("TlsContext")


def _other(socket: TransportSocket | None) -> Tls:
    if socket is None or not socket.name or socket.name.endswith("raw_buffer"):
        return Tls()
    return Tls(mode=socket.name.rpartition(".")[2])


def _has_certificate(common: CommonTlsContext) -> bool:
    return bool(common.tls_certificate_sds_secret_configs or common.tls_certificates)


def _expects(common: CommonTlsContext) -> tuple[str, ...]:
    if common.HasField("combined_validation_context"):
        context = common.combined_validation_context.default_validation_context
    else:
        context = common.validation_context
    return tuple(_names(context.match_typed_subject_alt_names))


def _names(matchers: Iterable[SubjectAltNameMatcher]) -> Iterator[str]:
    for one in matchers:
        kind = one.matcher.WhichOneof("match_pattern") or "exact"
        text = str(getattr(one.matcher, kind)) if kind != "safe_regex" else f"~{one.matcher.safe_regex.regex}"
        yield f"{text}*" if kind == "prefix" else text
