"""Values and outcomes that Envoy's rules allow and Envoy refuses: each is left out, and told why."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from fakes.bookinfo import BOOKINFO, objects
from fakes.static_envoy import static_bootstrap
from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.envoy.descriptors import pool
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Translator
from isthmus.translate.types import TYPES

PROXY = Proxy(
    kind=ProxyKind.SIDECAR, address="10.10.0.11", name="a", namespace="default", cluster=ClusterId("gke")
)
TYPE = "type.googleapis.com/envoy.extensions"
UPSTREAM = "{cluster: {name: 'outbound|9080||reviews.default.svc.cluster.local'}}"
LISTENER = "{listener: {name: 0.0.0.0_9080}}"
ROUTES = "{context: SIDECAR_OUTBOUND}"


def merged(to, match, value):
    return f"{{applyTo: {to}, match: {match}, patch: {{operation: MERGE, value: {value}}}}}"


def added(to, match, value):
    return f"{{applyTo: {to}, match: {match}, patch: {{operation: ADD, value: {value}}}}}"


CASES = {
    "its port would be 27017": merged(
        "LISTENER", LISTENER, "{address: {socket_address: {address: 10.110.0.12, port_value: 27017}}}"
    ),
    "eds_cluster_config is for upstreams of type EDS": merged("CLUSTER", UPSTREAM, "{type: STATIC}"),
    "Envoy knows no protocol 'own'": merged(
        "CLUSTER",
        UPSTREAM,
        f"{{typed_extension_protocol_options: {{own: {{'@type': {TYPE}.filters.http.cors.v3.Cors}}}}}}",
    ),
    "Router is nothing that routes may say of filters": merged(
        "HTTP_ROUTE",
        ROUTES,
        f"{{typed_per_filter_config: {{x: {{'@type': {TYPE}.filters.http.router.v3.Router}}}}}}",
    ),
    "Envoy lets nobody change header ':path'": merged(
        "VIRTUAL_HOST", ROUTES, "{request_headers_to_remove: [':path']}"
    ),
    "'%NOPE%' starts no command of Envoy's": merged(
        "VIRTUAL_HOST", ROUTES, "{request_headers_to_add: [{header: {key: a, value: '%NOPE%'}}]}"
    ),
    "regular expression of RE2": merged(
        "VIRTUAL_HOST",
        ROUTES,
        "{cors: {allow_origin_string_match: [{safe_regex: {regex: '('}}]}}",
    ),
    "'%NOPE%' starts": merged(
        "LISTENER",
        LISTENER,
        "{access_log: [{name: x, typed_config: {'@type': "
        f"{TYPE}.access_loggers.file.v3.FileAccessLog, path: /dev/null, format: '%NOPE%'}}}}]}}",
    ),
    "no filter chain is left": "{applyTo: FILTER_CHAIN, patch: {operation: REMOVE}}",
    "filter 'x' has no typed_config": added("HTTP_FILTER", ROUTES, "{name: x}"),
    "Echo is no http filter": added(
        "HTTP_FILTER", ROUTES, f"{{name: x, typed_config: {{'@type': {TYPE}.filters.network.echo.v3.Echo}}}}"
    ),
    "an upstream of type EDS must have": added(
        "CLUSTER", "{context: SIDECAR_OUTBOUND}", "{name: x, connect_timeout: 1s, type: EDS}"
    ),
    "an upstream of type LOGICAL_DNS must have": added(
        "CLUSTER", "{context: SIDECAR_OUTBOUND}", "{name: x, connect_timeout: 1s, type: LOGICAL_DNS}"
    ),
    "'x' does not appear to be an IPv4 or IPv6 address": added(
        "LISTENER",
        "{context: SIDECAR_OUTBOUND}",
        "{name: x, address: {socket_address: {address: x, port_value: 9999}}, filter_chains: [{}]}",
    ),
}


@pytest.mark.parametrize("why", CASES)
def test_what_envoy_would_refuse_is_left_out_and_told(why):
    text = f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: patch}}
spec: {{configPatches: [{CASES[why]}]}}
"""
    step = MeshBuilder(MeshSettings(config_cluster=ClusterId("gke"))).apply(
        objects(gke=[*BOOKINFO["gke"], text])
    )
    generation = Translator().generation(step.mesh, step.delta)
    resources = {url: list(generation.resources(PROXY, url, None)) for url in TYPES}
    assert why in " ".join(found.message for found in generation.findings)
    bootstrap = static_bootstrap(resources)
    try:
        validate(envoy_executable(), json_format.MessageToJson(bootstrap, descriptor_pool=pool()))
    except RefusedByEnvoy as error:
        pytest.fail(str(error))
