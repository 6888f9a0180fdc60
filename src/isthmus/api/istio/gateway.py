"""Gateway: what a proxy at the edge listens for. Source: Istio's Gateway reference, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Object, Part


class GatewayPort(Part, frozen=True, kw_only=True):
    """A port of the edge."""

    number: Annotated[int, Meta(ge=1, le=65535)]
    """The port by which the proxy's Service is called; the proxy listens on its target port. Envoy: `address`."""
    protocol: str
    """What is spoken there: HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP or MONGO; of two servers of one port that
    cannot stand side by side the older counts. Envoy: the network filter, `http_connection_manager` or `tcp_proxy`."""
    name: str = ""
    """A name, different for each server. Envoy: part of `route_config_name` of HTTPS."""
    target_port: int = 0
    """Deprecated and without effect: the Service says the target port."""


class TLSCertificate(Part, frozen=True, kw_only=True):
    """A certificate in files beside the proxy."""

    server_certificate: str = ""
    """The file of the chain. Envoy: `tls_certificate_sds_secret_configs`, `file-cert:`."""
    private_key: str = ""
    """The file of its key."""
    ca_certificates: str = ""
    """Without effect: callers are believed by `caCertificates` of the server."""


class ServerTLSSettings(Part, frozen=True, kw_only=True):
    """TLS as the edge speaks it."""

    https_redirect: bool = False
    """Answers each request in plain text with 301 to https. Envoy: `require_tls` of the virtual hosts."""
    mode: str = "PASSTHROUGH"
    """Where TLS ends, and who must show a certificate: PASSTHROUGH, SIMPLE, MUTUAL, AUTO_PASSTHROUGH, ISTIO_MUTUAL or
    OPTIONAL_MUTUAL. Envoy: `transport_socket` and `require_client_certificate` of the filter chain."""
    server_certificate: str = ""
    """The file of the chain that is shown. Envoy: `tls_certificate_sds_secret_configs`, `file-cert:`; the agent serves
    what is in the files, and again when they change."""
    private_key: str = ""
    """The file of its key. Envoy: part of the same name."""
    ca_certificates: str = ""
    """The file of the CAs by which callers are believed. Envoy: `validation_context_sds_secret_config`,
    `file-root:`."""
    ca_crl: str = ""
    """The file of their lists of revoked certificates. Envoy: part of the same name."""
    credential_name: str = ""
    """The Secret with certificate and key, in the proxy's namespace and cluster; with MUTUAL also the CAs, there or in
    the Secret of that name and `-cacert`. Envoy: `tls_certificate_sds_secret_configs`, `kubernetes://`."""
    credential_names: tuple[str, ...] = ()
    """Two such Secrets, with keys of different kinds (RSA and ECDSA). Envoy: the same, twice."""
    ca_cert_credential_name: str = ""
    """The Secret or, as `configmap://namespace/name`, the ConfigMap with the CAs. Envoy:
    `validation_context_sds_secret_config`."""
    tls_certificates: tuple[TLSCertificate, ...] = ()
    """Two certificates in files, with keys of different kinds. Envoy: `tls_certificate_sds_secret_configs`."""
    subject_alt_names: tuple[str, ...] = ()
    """The names one of which the caller's certificate must have. Envoy: `match_typed_subject_alt_names`."""
    verify_certificate_spki: tuple[str, ...] = ()
    """Hashes of the callers' public keys (SHA-256 in base64). Envoy: `verify_certificate_spki`."""
    verify_certificate_hash: tuple[str, ...] = ()
    """Hashes of the callers' certificates (SHA-256 in hexadecimal). Envoy: `verify_certificate_hash`."""
    min_protocol_version: str = "TLS_AUTO"
    """The oldest version: TLSV1_0 to TLSV1_3; TLS_AUTO is 1.2. Envoy: `tls_minimum_protocol_version`."""
    max_protocol_version: str = "TLS_AUTO"
    """The newest version: TLSV1_0 to TLSV1_3; TLS_AUTO is 1.3. Envoy: `tls_maximum_protocol_version`."""
    cipher_suites: tuple[str, ...] = ()
    """The ciphers up to TLS 1.2, by OpenSSL's names; without a word Envoy's. Envoy: `cipher_suites`."""
    insecure_skip_verify: bool | None = None
    """Lets callers in whose certificate no CA vouches for. Envoy: `trust_chain_verification`."""


class Server(Part, frozen=True, kw_only=True):
    """One port of the edge, and the hosts that are let in there."""

    port: GatewayPort
    """The port."""
    hosts: tuple[str, ...] = ()
    """The hosts, each alone or as `namespace/host` for VirtualServices of that namespace only; `.` is the Gateway's own
    and `*` any. Envoy: `server_names` of the filter chain where TLS ends, and the domains of virtual hosts."""
    bind: str = ""
    """The IP address to listen at; all without a word. Envoy: `address` of the listener."""
    default_endpoint: str = ""
    """Without effect, as in Istio: say it in a VirtualService."""
    name: str = ""
    """A name for people. Envoy: nowhere."""
    tls: ServerTLSSettings | None = None
    """TLS; for HTTPS and TLS it must be there."""


class GatewaySpec(Part, frozen=True, kw_only=True):
    """The servers of the proxies that the selector finds."""

    servers: tuple[Server, ...] = ()
    """What they listen for. Envoy: a listener for each address and port, of all Gateways together."""
    selector: dict[str, str] = {}
    """The labels of the proxies' pods, in whatever namespace."""


class GatewayConfig(Object, frozen=True, kw_only=True):
    """What proxies at the edge listen for."""

    spec: GatewaySpec
    """What."""
