"""Gateway: what a proxy at the edge listens for. Source: Istio's Gateway reference, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Object, Part


class GatewayPort(Part, frozen=True, kw_only=True):
    """A port of the edge."""

    number: Annotated[int, Meta(ge=1, le=65535)]
    protocol: str
    name: str = ""
    target_port: int = 0  # deprecated


class ServerTLSSettings(Part, frozen=True, kw_only=True):
    """TLS as the edge speaks it."""

    https_redirect: bool = False
    mode: str = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: tuple[str, ...] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[dict[str, str], ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: str = "TLS_AUTO"
    max_protocol_version: str = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


class Server(Part, frozen=True, kw_only=True):
    """One port of the edge, and the hosts that are let in there."""

    port: GatewayPort
    hosts: tuple[str, ...] = ()
    bind: str = ""
    default_endpoint: str = ""
    name: str = ""
    tls: ServerTLSSettings | None = None


class GatewaySpec(Part, frozen=True, kw_only=True):
    """The servers of the proxies that the selector finds."""

    servers: tuple[Server, ...] = ()
    selector: dict[str, str] = {}


class GatewayConfig(Object, frozen=True, kw_only=True):
    """What proxies at the edge listen for."""

    spec: GatewaySpec
