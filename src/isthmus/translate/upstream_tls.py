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
from isthmus.model.credential_names import pair_name, roots_name
from isthmus.model.service import Port, Service
from isthmus.translate import proto, transport
from isthmus.translate.destinations import Known
from isthmus.translate.names import SYSTEM, UpstreamName, file_certificate, file_roots
from isthmus.translate.subject_names import matchers
from isthmus.translate.upstream_protocol import ask_for_host


def apply_tls(
    upstream: Cluster, name: UpstreamName, port: Port, asked: ClientTLSSettings | None, here: Known
) -> None:
    """Sets how `upstream` speaks TLS.

    Without word from a DestinationRule, endpoints that have a sidecar are spoken to with mutual TLS and
    the others in plain text. Where Envoy does not learn of endpoints from us, there is nothing to tell
    them apart by: a headless service is spoken to with mutual TLS when all its endpoints have a sidecar.
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
            elif here.all_tls:
                upstream.transport_socket.CopyFrom(transport.mutual_upstream(identities, name.sni, alpn))
        case "ISTIO_MUTUAL":
            named = matchers(asked.subject_alt_names) if asked else []
            mutual = transport.mutual_upstream(identities, (asked and asked.sni) or name.sni, alpn, named)
            upstream.transport_socket.CopyFrom(mutual)
        case _ if asked:
            upstream.transport_socket.CopyFrom(proto.transport_socket("tls", _originated(asked, port, here)))
            if port.protocol.is_http:
                ask_for_host(
                    upstream,
                    by_name=not asked.sni,
                    verified=not asked.insecure_skip_verify and not _expected(asked, port, here.service),
                )


def _originated(asked: ClientTLSSettings, port: Port, here: Known) -> UpstreamTlsContext:
    """TLS of the SIMPLE and MUTUAL modes."""
    common = CommonTlsContext(
        tls_params=TlsParameters(tls_minimum_protocol_version="TLSv1_2"),
        alpn_protocols=["h2"] if port.protocol.is_http2 else [],
    )
    if asked.mode == "MUTUAL":
        common.tls_certificate_sds_secret_configs.append(_shown(asked))
    if not asked.insecure_skip_verify:
        names = matchers(_expected(asked, port, here.service))
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(
            CertificateValidationContext(match_typed_subject_alt_names=names)
        )
        combined.validation_context_sds_secret_config.CopyFrom(_roots(asked))
    sni = transport.server_name(asked.sni or _own_name(port, here.service))
    return UpstreamTlsContext(sni=sni, common_tls_context=common)


def _shown(asked: ClientTLSSettings) -> SdsSecretConfig:
    if asked.credential_name:
        return transport.secret(pair_name(asked.credential_name))
    return transport.in_file(file_certificate(asked.client_certificate, asked.private_key))


def _roots(asked: ClientTLSSettings) -> SdsSecretConfig:
    if asked.credential_name and not asked.ca_certificates:
        return transport.secret(roots_name(asked.credential_name))
    return transport.in_file(file_roots(asked.ca_certificates or SYSTEM, asked.ca_crl))


def _expected(asked: ClientTLSSettings, port: Port, service: Service) -> tuple[str, ...]:
    """The names of which the certificate must have one; none for HTTP that is verified by the host it asks for."""
    sni = asked.sni or _own_name(port, service)
    return asked.subject_alt_names or service.subject_alt_names or ((sni,) if sni else ())


def _own_name(port: Port, service: Service) -> str:
    """The server name of connections to an entry's one host: of requests each says its own."""
    host = service.key.hostname
    return host if service.entry and not port.protocol.is_http and not host.startswith("*") else ""
