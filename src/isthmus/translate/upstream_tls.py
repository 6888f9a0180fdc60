"""TLS towards a service: automatic mutual TLS, or what its DestinationRule asks for."""

from __future__ import annotations

from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.envoy.types import (
    CertificateValidationContext,
    Cluster,
    CommonTlsContext,
    DataSource,
    StringMatcher,
    SubjectAltNameMatcher,
    TlsCertificate,
    TlsParameters,
    UpstreamTlsContext,
)
from isthmus.model.service import Port
from isthmus.translate import proto, transport
from isthmus.translate.destinations import Known
from isthmus.translate.names import UpstreamName


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
            mutual = transport.mutual_upstream(identities, (asked and asked.sni) or name.sni, alpn)
            upstream.transport_socket.CopyFrom(mutual)
        case _ if asked:
            upstream.transport_socket.CopyFrom(proto.transport_socket("tls", _originated(asked, port, here)))


def _originated(asked: ClientTLSSettings, port: Port, here: Known) -> UpstreamTlsContext:
    """TLS of the SIMPLE and MUTUAL modes, with certificates from files beside Envoy."""
    common = CommonTlsContext(
        tls_params=TlsParameters(tls_minimum_protocol_version="TLSv1_2"),
        alpn_protocols=["h2"] if port.protocol.is_http2 else [],
    )
    if asked.mode == "MUTUAL":
        common.tls_certificates.append(
            TlsCertificate(
                certificate_chain=DataSource(filename=asked.client_certificate),
                private_key=DataSource(filename=asked.private_key),
            )
        )
    if asked.ca_certificates and not asked.insecure_skip_verify:
        names = [
            SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=name))
            for name in asked.subject_alt_names or here.service.subject_alt_names
            for kind in (("URI",) if "://" in name else ("DNS",))
        ]
        common.validation_context.CopyFrom(
            CertificateValidationContext(
                trusted_ca=DataSource(filename=asked.ca_certificates), match_typed_subject_alt_names=names
            )
        )
    return UpstreamTlsContext(sni=transport.server_name(asked.sni), common_tls_context=common)
