"""What is wrong with a Gateway by itself. Source: Istio's Gateway reference."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio.gateway import GatewayConfig, Server, ServerTLSSettings
from isthmus.kit.ip import is_address

PLAIN_HTTP = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})
ENCRYPTED = frozenset({"HTTPS", "TLS"})
PROTOCOLS = PLAIN_HTTP | ENCRYPTED | {"MONGO", "TCP"}
PASSING = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})
MODES = PASSING | {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"}
_VERSIONS = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
_SPKI = re.compile(r"[A-Za-z0-9+/]{43}=")
_HASH = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){31}")
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?")


def problems(found: GatewayConfig) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    seen: dict[tuple[str, int, str], int] = {}
    if not found.spec.servers:
        yield "$.spec.servers", "is empty (hint: a port, its protocol and hosts)"
    yield from labels("$.spec.selector", found.spec.selector)
    for index, server in enumerate(found.spec.servers):
        at = f"$.spec.servers[{index}]"
        yield from _server(at, server)
        if server.tls is not None:
            yield from _tls(f"{at}.tls", server.port.protocol.upper(), server.tls)
        elif server.port.protocol.upper() in ENCRYPTED:
            hint = "hint: mode: PASSTHROUGH, or mode: SIMPLE with credentialName"
            yield f"{at}.tls", f"is missing: {server.port.protocol} needs it ({hint})"
        for number, host in enumerate(server.hosts if server.port.protocol.upper() in ENCRYPTED else ()):
            first = seen.setdefault((server.bind, server.port.number, host.lower()), index)
            if first != index:
                message = (
                    f"{host!r} is in servers[{first}] of this port already (hint: leave one of them out)"
                )
                yield f"{at}.hosts[{number}]", message


def _server(at: str, server: Server) -> Iterator[Problem]:
    if not server.hosts:
        yield f"{at}.hosts", 'is empty (hint: ["*"] lets everybody in)'
    yield from _word(f"{at}.port.protocol", server.port.protocol.upper(), PROTOCOLS, server.port.protocol)
    for number, host in enumerate(server.hosts):
        yield from _host(f"{at}.hosts[{number}]", host)
    if server.bind and not is_address(server.bind):
        yield f"{at}.bind", f"{server.bind!r} is no IP address (hint: leave it out to listen at all)"


def _host(at: str, host: str) -> Iterator[Problem]:
    namespace, slash, name = host.rpartition("/")
    if slash and not namespace:
        yield at, f"{host!r} names no namespace (hint: ./{name} for this one, */{name} for all)"
    if "*" in name[1:]:
        yield at, f"{host!r} has a star that is not its first letter"
    elif not _HOST.fullmatch(name) and not is_address(name):
        yield at, f"{host!r} is no host (hint: a DNS name, one that begins with *., or *)"


def _tls(at: str, protocol: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    yield from _word(f"{at}.mode", tls.mode, MODES)
    if protocol not in ENCRYPTED:
        if tls.mode in MODES - PASSING or shown_by(tls):
            hint = "hint: protocol: HTTPS or TLS; with HTTP only httpsRedirect counts"
            yield at, f"has no effect, since {protocol} is not encrypted ({hint})"
        return
    if tls.mode == "ISTIO_MUTUAL":
        for field in (*shown_by(tls), *_believed(tls)):
            yield f"{at}.{field}", "cannot stand here: ISTIO_MUTUAL uses the workload's own (hint: MUTUAL)"
    elif tls.mode in MODES - PASSING:
        yield from _certificates(at, tls)
        yield from _callers(at, tls)
    yield from _parameters(at, tls)


def shown_by(tls: ServerTLSSettings) -> list[str]:
    """The fields that say which certificate is shown."""
    found = {
        "credentialName": tls.credential_name,
        "credentialNames": tls.credential_names,
        "tlsCertificates": tls.tls_certificates,
        "serverCertificate": tls.server_certificate,
    }
    return [name for name, value in found.items() if value]


def _believed(tls: ServerTLSSettings) -> list[str]:
    found = {
        "privateKey": tls.private_key,
        "caCertificates": tls.ca_certificates,
        "caCertCredentialName": tls.ca_cert_credential_name,
    }
    return [name for name, value in found.items() if value]


def _certificates(at: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    shown = shown_by(tls)
    if not shown:
        yield (
            f"{at}.credentialName",
            f"is missing: {tls.mode} shows a certificate (hint: the name of a Secret)",
        )
    if tls.credential_name and tls.credential_names:
        yield f"{at}.credentialNames", "cannot stand beside credentialName (hint: leave one of them out)"
    if bool(tls.server_certificate) != bool(tls.private_key):
        missing = "privateKey" if tls.server_certificate else "serverCertificate"
        yield (
            f"{at}.{missing}",
            "is missing: a certificate and its key go together (hint: the file beside the proxy)",
        )
    for name, count in (
        ("credentialNames", len(tls.credential_names)),
        ("tlsCertificates", len(tls.tls_certificates)),
    ):
        if count > 2:
            yield f"{at}.{name}", f"are {count} (hint: one with an RSA key and one with an ECDSA key)"
    for index, each in enumerate(tls.tls_certificates):
        if not each.server_certificate or not each.private_key:
            yield f"{at}.tlsCertificates[{index}]", "needs serverCertificate and privateKey"


def _callers(at: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    """Of what is asked of callers' certificates."""
    asks = tls.mode in {"MUTUAL", "OPTIONAL_MUTUAL"}
    by_secret = bool(tls.credential_name or tls.credential_names or tls.ca_cert_credential_name)
    by_itself = bool(tls.verify_certificate_spki or tls.verify_certificate_hash or tls.insecure_skip_verify)
    if asks and not by_secret and not tls.ca_certificates and not by_itself:
        yield (
            f"{at}.caCertificates",
            f"is missing: {tls.mode} believes callers by a CA (hint: or credentialName)",
        )
    if tls.ca_certificates and tls.ca_cert_credential_name:
        yield f"{at}.caCertCredentialName", "cannot stand beside caCertificates (hint: leave one of them out)"
    if tls.insecure_skip_verify and tls.subject_alt_names:
        yield f"{at}.subjectAltNames", "cannot be checked where insecureSkipVerify believes everybody"
    for index, text in enumerate(tls.verify_certificate_spki):
        if not _SPKI.fullmatch(text):
            yield f"{at}.verifyCertificateSpki[{index}]", f"{text!r} is no SHA-256 in base64 (hint: 44 signs)"
    for index, text in enumerate(tls.verify_certificate_hash):
        if not _HASH.fullmatch(text):
            yield (
                f"{at}.verifyCertificateHash[{index}]",
                f"{text!r} is no SHA-256 in hexadecimal (hint: 64 signs)",
            )


def _parameters(at: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    low, high = tls.min_protocol_version, tls.max_protocol_version
    for name, version in (("minProtocolVersion", low), ("maxProtocolVersion", high)):
        yield from _word(f"{at}.{name}", version, {*_VERSIONS, "TLS_AUTO"})
    if low in _VERSIONS and high in _VERSIONS and low > high:
        yield f"{at}.maxProtocolVersion", f"is {high}, older than minProtocolVersion {low}"
    if low == "TLS_AUTO" and high in {"TLSV1_0", "TLSV1_1"}:
        yield f"{at}.minProtocolVersion", f"is 1.2 without a word, newer than maxProtocolVersion {high}"


def _word(at: str, word: str, words: Collection[str], said: str = "") -> Iterator[Problem]:
    if word not in words:
        yield at, f"is {said or word!r} (hint: one of {', '.join(sorted(words))})"
