"""Inbound listeners with filters that guard them, written by hand: for requests, or for bytes."""

from __future__ import annotations

from google.protobuf import json_format

from fakes.inbound_envoy import LET_IN
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import HttpConnectionManager, Listener
from isthmus.translate.names import VIRTUAL_INBOUND
from isthmus.translate.trace.held import Held

_TYPES = "type.googleapis.com/envoy.extensions"
_TLS = {
    "name": "tls",
    "typed_config": {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"validation_context": {"trusted_ca": {"inline_string": "staged"}}},
    },
}


def guarded(guards, *, http):
    """A listener that asks callers in TLS for certificates, and has `guards` before its last filter."""
    if http:
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
        }
        manager = {
            "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "guarded",
            "use_remote_address": False,
            "normalize_path": True,
            "http_filters": [*guards, router],
            "route_config": LET_IN,
        }
        filters = [{"name": "http", "typed_config": manager}]
    else:
        proxy = {
            "@type": f"{_TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "guarded",
            "cluster": "nobody",
        }
        filters = [*guards, {"name": "tcp", "typed_config": proxy}]
    tree = {
        "name": VIRTUAL_INBOUND,
        "traffic_direction": "INBOUND",
        "listener_filters": [
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {"@type": f"{_TYPES}.filters.listener.tls_inspector.v3.TlsInspector"},
            }
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"transport_protocol": "tls"},
                "transport_socket": _TLS,
                "filters": filters,
            },
            {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": filters},
        ],
    }
    return json_format.ParseDict(tree, Listener(), descriptor_pool=pool())


def rbac(rules, tried, *, http, name="rbac"):
    """An RBAC filter with rules that hold and others that are tried."""
    kind = "http" if http else "network"
    config = {"@type": f"{_TYPES}.filters.{kind}.rbac.v3.RBAC"}
    if not http:
        config["stat_prefix"] = "guarded."
    if rules is not None:
        config["rules"] = rules
    if tried is not None:
        config |= {"shadow_rules": tried, "shadow_rules_stat_prefix": "tried_"}
    return {"name": name, "typed_config": config}


def held(listener):
    """What a proxy with this listener holds."""
    return Held(listeners={VIRTUAL_INBOUND: listener}, routes={}, upstreams={}, assignments={})


def filters_of(listener):
    """The filters of a listener that guard it, as text."""
    chain = next(
        (each for each in listener.filter_chains if len(each.filters) > 1), listener.filter_chains[-1]
    )
    last = chain.filters[-1].typed_config
    guards = [*chain.filters[:-1]]
    if last.type_url.endswith("HttpConnectionManager"):
        guards += HttpConnectionManager.FromString(last.value).http_filters[:-1]
    return [
        json_format.MessageToJson(each.typed_config, descriptor_pool=pool(), indent=None) for each in guards
    ]
