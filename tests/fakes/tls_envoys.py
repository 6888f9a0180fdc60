"""Configuration of two Envoys that talk mutual TLS, each with what an agent serves it by SDS."""

from __future__ import annotations

from pathlib import Path

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
FILTERS = "type.googleapis.com/envoy.extensions.filters"
PEERS = "spiffe://cluster.local/ns/default/sa"


def secret(name: str, api: str) -> dict:
    source = {
        "api_type": api,
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}],
    }
    return {"name": name, "sds_config": {"api_config_source": source, "resource_api_version": "V3"}}


def tls(kind: str, peer: str, api: str) -> dict:
    """Mutual TLS with whoever is called `peer`."""
    match = {"san_type": "URI", "matcher": {"exact": peer}}
    context = {
        "tls_certificate_sds_secret_configs": [secret("default", api)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [match]},
            "validation_context_sds_secret_config": secret("ROOTCA", api),
        },
    }
    config = {"@type": f"{TLS}.{kind}TlsContext", "common_tls_context": context}
    if kind == "Downstream":
        config["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def upstream(name: str, where: dict, **more: object) -> dict:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": where}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}, **more}


def proxy_config(
    admin: int, listen: int, to: int, socket: Path, *, client: bool, api: str, peer: str = ""
) -> dict:
    """An Envoy that listens in plain text and calls by TLS (the client), or the other way round."""
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "@type": f"type.googleapis.com/{http2}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        # Every request on a connection of its own, so that each is a handshake with the newest secrets.
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "next"}}],
                }
            ]
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    chain = {"filters": filters} | (
        {} if client else {"transport_socket": tls("Downstream", peer or f"{PEERS}/client", api)}
    )
    onward: dict = {
        "typed_extension_protocol_options": {
            http2: {
                "@type": f"type.googleapis.com/{http2}",
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        }
    }
    if client:
        onward["transport_socket"] = tls("Upstream", peer or f"{PEERS}/server", api)
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [{"name": "in", "address": address(listen), "filter_chains": [chain]}],
            "clusters": [
                upstream("next", address(to), **onward),
                upstream(
                    "sds", {"pipe": {"path": str(socket)}}, typed_extension_protocol_options={http2: options}
                ),
            ],
        },
    }
