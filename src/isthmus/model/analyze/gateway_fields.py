"""Fields of Gateways that are read and change nothing where they stand."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio.gateway import GatewayConfig, Server, ServerTLSSettings
from isthmus.api.istio.gateway_problems import ENCRYPTED, PASSING, shown_by
from isthmus.envoy.tls_names import CIPHERS
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.credential_uses import VERIFIES_CLIENTS
from isthmus.model.findings import Finding


def have_effect(subject: Subject) -> Iterator[Finding]:
    """Each field that is set changes something."""
    for found in subject.of(GatewayConfig):
        for index, server in enumerate(found.spec.servers):
            for path, message in _of_server(server):
                yield finding(found, f"$.spec.servers[{index}].{path}", message, Code.NO_EFFECT)


def _of_server(server: Server) -> Iterator[Problem]:
    if server.default_endpoint:
        yield (
            "defaultEndpoint",
            "has no effect (hint: a VirtualService bound to this Gateway says where calls go)",
        )
    if server.port.target_port:
        yield "port.targetPort", "has no effect (hint: the Service before the proxy says its target port)"
    tls = server.tls
    if tls is None or server.port.protocol.upper() not in ENCRYPTED:
        return
    if tls.https_redirect:
        yield "tls.httpsRedirect", "has no effect: it is https already (hint: a server for HTTP on port 80)"
    if tls.mode in PASSING:
        for field in shown_by(tls):
            yield (
                f"tls.{field}",
                f"has no effect: with {tls.mode} TLS ends at the service (hint: mode: SIMPLE)",
            )
    else:
        yield from _of_certificates(tls)
        yield from _of_callers(tls)


def _of_certificates(tls: ServerTLSSettings) -> Iterator[Problem]:
    first, *others = shown_by(tls) or [""]
    for field in others:
        yield f"tls.{field}", f"has no effect beside {first} (hint: leave one of them out)"
    for index, each in enumerate(tls.tls_certificates):
        if each.ca_certificates:
            yield f"tls.tlsCertificates[{index}].caCertificates", "has no effect (hint: tls.caCertificates)"
    for index, cipher in enumerate(tls.cipher_suites):
        if cipher not in CIPHERS:
            hint = f"hint: of TLS up to 1.2: {', '.join(sorted(CIPHERS))}"
            yield f"tls.cipherSuites[{index}]", f"has no effect: Envoy lets nobody choose {cipher!r} ({hint})"
    if tls.cipher_suites and tls.min_protocol_version == "TLSV1_3":
        yield "tls.cipherSuites", "have no effect: those of TLS 1.3 cannot be chosen"


def _of_callers(tls: ServerTLSSettings) -> Iterator[Problem]:
    if tls.ca_crl and not tls.ca_certificates:
        yield "tls.caCrl", "has no effect without caCertificates (hint: ca.crl in the Secret of the CA)"
    if tls.mode in VERIFIES_CLIENTS:
        return
    given = {
        "caCertificates": tls.ca_certificates,
        "caCertCredentialName": tls.ca_cert_credential_name,
        "subjectAltNames": tls.subject_alt_names if tls.mode == "SIMPLE" else (),
        "verifyCertificateSpki": tls.verify_certificate_spki,
        "verifyCertificateHash": tls.verify_certificate_hash,
        "insecureSkipVerify": tls.insecure_skip_verify,
    }
    for field, value in given.items():
        if value:
            yield (
                f"tls.{field}",
                f"has no effect: {tls.mode} asks callers for no such certificate (hint: mode: MUTUAL)",
            )
