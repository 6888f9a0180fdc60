"""TLS of the upstreams in the bootstrap: certificates come from the agent, the workload's own and those in files."""

from __future__ import annotations

from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.kit.ip import is_address
from isthmus.translate.names import (
    CERTIFICATE_SECRET,
    ROOT_SECRET,
    SDS_UPSTREAM,
    SYSTEM,
    file_certificate,
    file_roots,
)

Tree = dict[str, object]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def mutual_tls(host: str, names: list[Tree]) -> Tree:
    """HTTP/2 in TLS to `host` with the workload's certificate; the peer's has one of `names`, or is of the mesh."""
    return _socket(host, _secret(CERTIFICATE_SECRET), (names, _secret(ROOT_SECRET)))


def originated_tls(host: str, asked: ClientTLSSettings) -> Tree:
    """HTTP/2 in TLS to `host` outside of the mesh, as `asked`: any mode but DISABLE."""
    sni = asked.sni or host
    names: list[Tree] = [_dns(name) for name in asked.subject_alt_names or (sni,)]
    if asked.mode == "ISTIO_MUTUAL":
        return mutual_tls(sni, names if asked.subject_alt_names else [])
    shown = _secret(file_certificate(asked.client_certificate, asked.private_key))
    roots = _secret(file_roots(asked.ca_certificates or SYSTEM, asked.ca_crl))
    return _socket(
        sni, shown if asked.mode == "MUTUAL" else None, None if asked.insecure_skip_verify else (names, roots)
    )


def _socket(sni: str, shown: Tree | None, trusted: tuple[list[Tree], Tree] | None) -> Tree:
    common: Tree = {"alpn_protocols": ["h2"], "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"}}
    if shown is not None:
        common["tls_certificate_sds_secret_configs"] = [shown]
    if trusted is not None:
        common["combined_validation_context"] = {
            "default_validation_context": {"match_typed_subject_alt_names": trusted[0]},
            "validation_context_sds_secret_config": trusted[1],
        }
    context: Tree = {"@type": f"{_TLS}.UpstreamTlsContext", "common_tls_context": common}
    if not is_address(sni):
        context["sni"] = sni
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _dns(name: str) -> Tree:
    if is_address(name):
        return {"san_type": "IP_ADDRESS", "matcher": {"exact": name}}
    return {"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}}


def _secret(name: str) -> Tree:
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_UPSTREAM}}],
    }
    return {
        "name": name,
        "sds_config": {
            "api_config_source": source,
            "resource_api_version": "V3",
            "initial_fetch_timeout": "0s",
        },
    }
