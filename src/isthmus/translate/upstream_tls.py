"""TLS towards a service: automatic mutual TLS, or what its DestinationRule asks for.

Whoever asks for TLS without naming CAs gets those that the proxy's system trusts, as in Istio: nobody is believed
by chance. Certificates of Secrets come from us over ADS; those in files, and the workload's own, from the agent.
"""

from __future__ import annotations

from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.envoy.types import (
    CertificateValidationContext,
    Cluster,
    CommonTlsContext,
    SdsSecretConfig,
    TlsParameters,
    UpstreamTlsContext,
)
from isthmus.kit.ip import is_address
from isthmus.model.credential_names import pair_name
from isthmus.model.credential_uses import client_roots
from isthmus.model.service import Port, Service
from isthmus.translate import proto, transport
from isthmus.translate.destinations import Known
from isthmus.translate.names import SYSTEM, UpstreamName, file_certificate, file_roots
from isthmus.translate.subject_names import matchers
from isthmus.translate.upstream_protocol import ask_for_host

_BY_NAME = frozenset({Cluster.STRICT_DNS, Cluster.LOGICAL_DNS})


def apply_tls(
    upstream: Cluster, name: UpstreamName, port: Port, asked: ClientTLSSettings | None, here: Known
) -> None:
    """Sets how `upstream` speaks TLS.

    Without word from a DestinationRule, endpoints that take mutual TLS at the port are spoken to with it and
    the others in plain text. Where Envoy does not learn of endpoints from us, there is nothing to tell
    them apart by: a headless service is spoken to with mutual TLS when all its endpoints take it.
    """
    identities = here.backing.identities
    alpn = transport.upstream_alpn(port.protocol.is_http, port.protocol.is_http2)
    match asked.mode if asked else "AUTO":
        case "DISABLE":
            return
        case "AUTO" if here.service.is_external:
            return
        case "AUTO":
            if upstream.type == Cluster.EDS:
                mutual = transport.mutual_upstream(identities, name.sni, alpn)
                upstream.transport_socket_matches.extend(transport.automatic(mutual))
            elif upstream.type in _BY_NAME and any(each.mutual_at(port.name) for each in here.service.named):
                known = sorted({each.identity for each in here.service.named if each.identity})
                mutual = transport.mutual_upstream(known, name.sni, alpn)
                upstream.transport_socket_matches.extend(transport.automatic(mutual))
            elif port.name in here.mutual:
                upstream.transport_socket.CopyFrom(transport.mutual_upstream(identities, name.sni, alpn))
        case "ISTIO_MUTUAL":
            named = matchers(asked.subject_alt_names) if asked else []
            mutual = transport.mutual_upstream(identities, (asked and asked.sni) or name.sni, alpn, named)
            upstream.transport_socket.CopyFrom(mutual)
        case _ if asked:
            sni = asked.sni or _own_name(port, here.service)
            expected = asked.subject_alt_names or here.service.subject_alt_names
            _originate(upstream, asked, (sni, expected), http2=port.protocol.is_http2)
            if port.protocol.is_http:
                _ask_for_host(upstream, asked, verified=not (expected or sni))


def apply_tls_outside(
    upstream: Cluster, asked: ClientTLSSettings | None, host: str, *, http2: bool = False
) -> None:
    """Sets how `upstream`, which is no service of the mesh, is spoken to: in plain text without word.

    `host` is where it is; empty: where each request says.
    """
    if asked is None or asked.mode == "DISABLE":
        return
    sni = asked.sni or ("" if is_address(host) else host)
    if asked.mode == "ISTIO_MUTUAL":
        alpn, named = ("h2",) if http2 else (), matchers(asked.subject_alt_names)
        upstream.transport_socket.CopyFrom(transport.mutual_upstream((), sni, alpn, named))
        return
    expected = asked.subject_alt_names or ((host,) if host and not asked.sni else ())
    _originate(upstream, asked, (sni, expected), http2=http2)
    if not host:
        _ask_for_host(upstream, asked, verified=not (expected or sni))


def _ask_for_host(upstream: Cluster, asked: ClientTLSSettings, *, verified: bool) -> None:
    verified = verified and not asked.insecure_skip_verify
    ask_for_host(upstream, by_name=not asked.sni, verified=verified)


def _originate(
    upstream: Cluster, asked: ClientTLSSettings, names: tuple[str, tuple[str, ...]], *, http2: bool
) -> None:
    """TLS of the SIMPLE and MUTUAL modes; `names`: the server name, and those of which a certificate has one."""
    sni, expected = names
    common = CommonTlsContext(
        tls_params=TlsParameters(tls_minimum_protocol_version="TLSv1_2"),
        alpn_protocols=["h2"] if http2 else [],
    )
    if asked.mode == "MUTUAL":
        common.tls_certificate_sds_secret_configs.append(_shown(asked))
    if not asked.insecure_skip_verify:
        named = matchers(expected or ((sni,) if sni else ()))
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(
            CertificateValidationContext(match_typed_subject_alt_names=named)
        )
        combined.validation_context_sds_secret_config.CopyFrom(_roots(asked))
    context = UpstreamTlsContext(sni=transport.server_name(sni), common_tls_context=common)
    upstream.transport_socket.CopyFrom(proto.transport_socket("tls", context))


def _shown(asked: ClientTLSSettings) -> SdsSecretConfig:
    if asked.credential_name:
        return transport.secret(pair_name(asked.credential_name))
    return transport.in_file(file_certificate(asked.client_certificate, asked.private_key))


def _roots(asked: ClientTLSSettings) -> SdsSecretConfig:
    if credential := client_roots(asked):
        return transport.secret(credential)
    return transport.in_file(file_roots(asked.ca_certificates or SYSTEM, asked.ca_crl))


def _own_name(port: Port, service: Service) -> str:
    """The server name of connections to an entry's one host: of requests each says its own."""
    host = service.key.hostname
    return host if service.entry and not port.protocol.is_http and not host.startswith("*") else ""
