"""TLS that ends at a gateway: which certificates it shows, and what it asks of its callers.

Certificates of Secrets come from us over ADS; those in files, and the workload's own, from the agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.api.istio.mesh_config import TlsConfig
from isthmus.envoy.tls_names import CIPHERS
from isthmus.envoy.types import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TlsParameters,
    TransportSocket,
)
from isthmus.model.credential_uses import VERIFIES_CLIENTS, server_pairs, server_roots
from isthmus.translate import proto, transport
from isthmus.translate.conduct import Conduct
from isthmus.translate.names import file_certificate, file_roots
from isthmus.translate.subject_names import matchers

HTTP_ALPN = ("h2", "http/1.1")
PROVING = frozenset({"ISTIO_MUTUAL", "MUTUAL", "OPTIONAL_MUTUAL"})
"""Modes in which callers may have shown who they are."""


def server_tls(tls: ServerTLSSettings, conduct: Conduct, alpn: Iterable[str]) -> TransportSocket:
    """The transport socket by which a server of a Gateway ends TLS."""
    usual = conduct.own_tls
    if tls.mode == "ISTIO_MUTUAL":
        usual = conduct.mutual_tls
        made = transport.mutual_server(conduct.trust_domains, alpn, matchers(tls.subject_alt_names))
    else:
        common = CommonTlsContext(alpn_protocols=alpn, tls_certificate_sds_secret_configs=_shown(tls))
        _ask_callers(common, tls)
        made = DownstreamTlsContext(common_tls_context=common)
        if tls.mode in VERIFIES_CLIENTS:
            made.require_client_certificate.value = tls.mode == "MUTUAL"
            transport.resume_nothing(made)
    made.common_tls_context.tls_params.CopyFrom(_parameters(tls, usual))
    return proto.transport_socket("tls", made)


def _parameters(tls: ServerTLSSettings, usual: TlsConfig | None) -> TlsParameters:
    """How strong TLS must be: as the server says, or else the mesh."""
    made = TlsParameters(tls_minimum_protocol_version="TLSv1_2", tls_maximum_protocol_version="TLSv1_3")
    transport.apply_strength(made, usual)
    if tls.max_protocol_version in transport.VERSIONS:
        made.tls_maximum_protocol_version = transport.VERSIONS[tls.max_protocol_version]
        # The mesh cannot ask for more than a server that says what it can do at the most.
        made.tls_minimum_protocol_version = min(
            made.tls_minimum_protocol_version, made.tls_maximum_protocol_version
        )
    if tls.min_protocol_version in transport.VERSIONS:
        made.tls_minimum_protocol_version = transport.VERSIONS[tls.min_protocol_version]
    if ciphers := [each for each in dict.fromkeys(tls.cipher_suites) if each in CIPHERS]:
        made.ClearField("cipher_suites")
        made.cipher_suites.extend(ciphers)
    return made


def _shown(tls: ServerTLSSettings) -> Iterator[SdsSecretConfig]:
    pairs = server_pairs(tls)
    if pairs:
        yield from (transport.secret(name) for _, name in pairs)
    elif tls.tls_certificates:
        for each in tls.tls_certificates:
            yield transport.in_file(file_certificate(each.server_certificate, each.private_key))
    else:
        yield transport.in_file(file_certificate(tls.server_certificate, tls.private_key))


def _ask_callers(common: CommonTlsContext, tls: ServerTLSSettings) -> None:
    """Sets by what a caller's certificate is believed, if one is asked for."""
    if tls.mode not in VERIFIES_CLIENTS:
        return
    checks = CertificateValidationContext(
        match_typed_subject_alt_names=matchers(tls.subject_alt_names),
        verify_certificate_spki=tls.verify_certificate_spki,
        verify_certificate_hash=tls.verify_certificate_hash,
    )
    if tls.insecure_skip_verify:
        checks.trust_chain_verification = CertificateValidationContext.ACCEPT_UNTRUSTED
    roots = _roots(tls)
    if roots is None:
        common.validation_context.CopyFrom(checks)
        return
    combined = common.combined_validation_context
    combined.default_validation_context.CopyFrom(checks)
    combined.validation_context_sds_secret_config.CopyFrom(roots)


def _roots(tls: ServerTLSSettings) -> SdsSecretConfig | None:
    if tls.ca_certificates and not tls.insecure_skip_verify:
        return transport.in_file(file_roots(tls.ca_certificates, tls.ca_crl))
    named = server_roots(tls)
    return transport.secret(named[0][1]) if named else None
