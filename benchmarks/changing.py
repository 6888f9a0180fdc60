"""For each kind that the mesh reads, an object of which every next number differs where proxies can see it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.api import KINDS, kind_of
from isthmus.api.resource import Kind

Json = dict[str, Any]
Body = Callable[[int], Json]
NETWORKING, GATEWAY_API = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"
SERVICE = {"group": "", "kind": "Service", "name": "svc-50"}
TO_SERVICE = [{"name": "svc-50", "port": 9080}]
TO_SERVICES = [{"name": "svc-50", "port": 9080}, {"name": "svc-0", "port": 9080}]


def _object(version: str, kind: str, spec: Json, name: str = "one") -> Json:
    meta = {"name": name, "namespace": "ns-0"}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def _namespace(number: int) -> Json:
    labels = {"topology.istio.io/network": f"net-{number}"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns-0", "labels": labels}}


def _node(number: int) -> Json:
    labels = {"topology.kubernetes.io/region": f"region-{number}"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0", "labels": labels}}


def _pod(number: int) -> Json:
    made = _object("v1", "Pod", {"serviceAccountName": "svc-0", "nodeName": "node-0"}, "svc-0-a")
    made["metadata"]["labels"] = {"app": "svc-0", "version": f"v{number}"}
    return made | {"status": {"phase": "Running", "podIP": "10.251.1.1"}}


def _service(number: int) -> Json:
    ports = [{"name": ("tcp", "http")[number % 2], "port": 9080, "targetPort": 9080}]
    spec = {"ports": ports, "clusterIP": "172.16.0.0", "clusterIPs": ["172.16.0.0"]}
    return _object("v1", "Service", spec, "svc-0")


def _slice(number: int, name: str = "svc-0-further") -> Json:
    made = _object("discovery.k8s.io/v1", "EndpointSlice", {}, name)
    made["metadata"]["labels"] = {"kubernetes.io/service-name": "svc-0"}
    del made["spec"]
    endpoints = [{"addresses": [f"10.251.0.{number}"]}]
    ports = [{"name": "http", "port": 9080, "protocol": "TCP"}]
    return made | {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}


def _secret(number: int) -> Json:
    made = _object("v1", "Secret", {}, "cert")
    del made["spec"]
    return made | {"type": "Opaque", "data": {"ca.crt": base64.b64encode(b"%d" % number).decode()}}


def _virtual_service(number: int) -> Json:
    route = [{"destination": {"host": "svc-50"}}]
    spec = {"hosts": ["svc-50"], "http": [{"route": route, "timeout": f"{number + 1}s"}]}
    return _object(NETWORKING, "VirtualService", spec)


def _destination_rule(number: int) -> Json:
    pool = {"tcp": {"maxConnections": number + 1}}
    return _object(
        NETWORKING, "DestinationRule", {"host": "svc-50", "trafficPolicy": {"connectionPool": pool}}
    )


def _gateway(number: int) -> Json:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    server = {"port": port, "hosts": [f"{number}.example.com"]}
    return _object(NETWORKING, "Gateway", {"selector": {"istio": "ingressgateway"}, "servers": [server]})


def _sidecar(number: int) -> Json:
    return _object(NETWORKING, "Sidecar", {"egress": [{"hosts": ["./*", f"ns-{number % 10 + 1}/*"]}]})


def _service_entry(number: int) -> Json:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    endpoints = [{"address": f"203.0.113.{number}"}]
    spec = {"hosts": ["api.example.com"], "ports": ports, "resolution": "STATIC", "endpoints": endpoints}
    return _object(NETWORKING, "ServiceEntry", spec)


def _workload_entry(number: int) -> Json:
    spec = {"address": "203.0.113.1", "labels": {"app": "machine", "version": f"v{number}"}}
    return _object(NETWORKING, "WorkloadEntry", spec)


def _workload_group(number: int) -> Json:
    template = {"labels": {"app": "machine"}, "locality": f"region-{number}"}
    return _object(NETWORKING, "WorkloadGroup", {"template": template})


def _envoy_filter(number: int) -> Json:
    patch = {"operation": "MERGE", "value": {"connect_timeout": f"{number + 1}s"}}
    match = {"cluster": {"service": "svc-50.ns-0.svc.cluster.local"}}
    one = {"applyTo": "CLUSTER", "match": match, "patch": patch}
    return _object("networking.istio.io/v1alpha3", "EnvoyFilter", {"configPatches": [one]})


def _wasm_plugin(number: int) -> Json:
    spec = {"url": "file:///opt/one.wasm", "pluginConfig": {"number": number}}
    return _object("extensions.istio.io/v1alpha1", "WasmPlugin", spec)


def _proxy_config(number: int) -> Json:
    return _object("networking.istio.io/v1beta1", "ProxyConfig", {"concurrency": number + 1})


def _telemetry(number: int) -> Json:
    logging = {"providers": [{"name": "envoy"}], "filter": {"expression": f"response.code >= {400 + number}"}}
    return _object("telemetry.istio.io/v1", "Telemetry", {"accessLogging": [logging]})


_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
"""A public key of nobody. Source: RFC 7517, A.1."""


def _authorization_policy(number: int) -> Json:
    rule = {"to": [{"operation": {"paths": [f"/{number}"]}}]}
    return _object("security.istio.io/v1", "AuthorizationPolicy", {"rules": [rule]})


def _peer_authentication(number: int) -> Json:
    mode = ("STRICT", "PERMISSIVE")[number % 2]
    return _object("security.istio.io/v1", "PeerAuthentication", {"mtls": {"mode": mode}})


def _request_authentication(number: int) -> Json:
    rule = {"issuer": f"https://{number}.example.com", "jwks": json.dumps({"keys": [_KEY]})}
    return _object("security.istio.io/v1", "RequestAuthentication", {"jwtRules": [rule]})


def _gateway_class(number: int) -> Json:
    spec = {"controllerName": "istio.io/gateway-controller", "description": f"{number}"}
    return {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "istio"}, "spec": spec}


def _web(number: int) -> Json:
    """A Gateway, at whose listeners the routes below stand; only the name of its hosts differs."""
    everyone = {"namespaces": {"from": "All"}}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everyone},
        {"name": "own", "port": 81, "protocol": "HTTP", "hostname": f"{number}.example.com"},
        {"name": "raw", "port": 9000, "protocol": "TCP", "allowedRoutes": everyone},
        {"name": "pass", "port": 8443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
    ]
    return _object(GATEWAY_API, "Gateway", {"gatewayClassName": "istio", "listeners": listeners}, "web")


def _http_route(number: int) -> Json:
    rule = {"timeouts": {"request": f"{number + 1}s"}, "backendRefs": TO_SERVICE}
    return _object(GATEWAY_API, "HTTPRoute", {"parentRefs": [{"name": "web"}, SERVICE], "rules": [rule]})


def _grpc_route(number: int) -> Json:
    rule = {"matches": [{"method": {"service": f"shop.Cart{number}"}}], "backendRefs": TO_SERVICE}
    # At the listener of an older HTTPRoute for the same hosts it would be refused.
    parents = [{"name": "web", "sectionName": "http"}, SERVICE]
    spec = {"parentRefs": parents, "hostnames": ["grpc.example.com"], "rules": [rule]}
    return _object(GATEWAY_API, "GRPCRoute", spec)


def _connection_route(kind: str, listener: str, hosts: Json) -> Body:
    def made(number: int) -> Json:
        shares = [
            {**each, "weight": weight} for each, weight in zip(TO_SERVICES, (1, number + 1), strict=True)
        ]
        parents = [{"name": "web", "sectionName": listener}]
        return _object(GATEWAY_API, kind, {"parentRefs": parents, "rules": [{"backendRefs": shares}]} | hosts)

    return made


def _reference_grant(number: int) -> Json:
    allowed = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": f"ns-{number + 1}"}]
    return _object(GATEWAY_API, "ReferenceGrant", {"from": allowed, "to": [{"group": "", "kind": "Service"}]})


def _backend_tls_policy(number: int) -> Json:
    validation = {"wellKnownCACertificates": "System", "hostname": f"{number}.example.com"}
    return _object(GATEWAY_API, "BackendTLSPolicy", {"targetRefs": [SERVICE], "validation": validation})


def _ingress(number: int) -> Json:
    backend = {"service": {"name": "svc-50", "port": {"number": 9080}}}
    paths = [{"path": f"/{number}", "pathType": "Prefix", "backend": backend}]
    spec = {"ingressClassName": "istio", "rules": [{"host": "a.example.com", "http": {"paths": paths}}]}
    return _object("networking.k8s.io/v1", "Ingress", spec)


def _ingress_class(number: int) -> Json:
    controller = ("istio.io/ingress-controller", "example.com/another")[number % 2]
    meta = {"name": "istio"}
    version = "networking.k8s.io/v1"
    return {
        "apiVersion": version,
        "kind": "IngressClass",
        "metadata": meta,
        "spec": {"controller": controller},
    }


def _mesh(text: str, key: str = "mesh") -> Body:
    """The mesh's own ConfigMap, with `%` for the number."""

    def made(number: int) -> Json:
        meta = {"name": "istio", "namespace": "istio-system"}
        data = {key: text.replace("%", str(number + 1))}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    return made


_OF_KINDS: tuple[Body, ...] = (
    *(_namespace, _node, _pod, _service, _slice, _secret),
    *(_virtual_service, _destination_rule, _gateway, _sidecar, _service_entry, _workload_entry),
    *(_workload_group, _envoy_filter, _wasm_plugin, _proxy_config, _telemetry),
    *(_authorization_policy, _peer_authentication, _request_authentication),
    *(_gateway_class, _web, _http_route, _grpc_route),
    _connection_route("TLSRoute", "pass", {"hostnames": ["tls.example.com"]}),
    _connection_route("TCPRoute", "raw", {}),
    *(_reference_grant, _backend_tls_policy, _ingress, _ingress_class),
)
_OF_SETTINGS: Mapping[str, Body] = {
    "ConfigMap: accessLogFormat": _mesh("accessLogFile: /dev/stdout\naccessLogFormat: '%'"),
    "ConfigMap: connectTimeout": _mesh("connectTimeout: %s"),
    "ConfigMap: defaultHttpRetryPolicy": _mesh("defaultHttpRetryPolicy: {attempts: %}"),
    "ConfigMap: meshNetworks": _mesh(
        "networks: {far: {endpoints: [{fromCidr: 10.0.%.0/24}], gateways: [{address: 203.0.113.1, port: 15443}]}}",
        "meshNetworks",
    ),
}


def surroundings() -> list[Json]:
    """What is there from the start, so that what changes is of use to somebody."""
    pod = {"kind": "Pod", "name": "svc-0-a", "namespace": "ns-0"}
    of_pod = _slice(0, "svc-0-pods")
    of_pod["endpoints"] = [{"addresses": ["10.251.1.1"], "targetRef": pod, "nodeName": "node-0"}]
    ports = [{"number": 9080, "name": "http", "protocol": "HTTP"}]
    chosen = {"labels": {"app": "machine"}}
    machines = {"hosts": ["machines.example.com"], "ports": ports, "workloadSelector": chosen}
    route = [{"destination": {"host": "svc-50.ns-0.svc.cluster.local"}}]
    edge = {"hosts": ["*"], "gateways": ["one"], "http": [{"route": route}]}
    own, rule = [{"name": "web", "sectionName": "own"}], {"backendRefs": TO_SERVICE}
    return [
        *(_node(0), _pod(0), of_pod, _web(0)),
        _object(NETWORKING, "ServiceEntry", machines | {"resolution": "STATIC"}, "machines"),
        _object(NETWORKING, "VirtualService", edge, "edge"),
        _object(GATEWAY_API, "HTTPRoute", {"parentRefs": own, "rules": [rule]}, "base"),
        {**_ingress(0), "metadata": {"name": "base", "namespace": "ns-0"}},
    ]


def kind_in(body: Json) -> Kind:
    return kind_of(body["apiVersion"], body["kind"])


def bodies() -> dict[str, Body]:
    """What changes, by what it is called in the table. Raises `ValueError` where a kind of the mesh is forgotten."""
    found = {kind_in(each(0)).ref_kind: each for each in _OF_KINDS}
    if missing := {kind.ref_kind for kind in KINDS} - found.keys() - {"ConfigMap"}:
        raise ValueError(f"no change of {', '.join(sorted(missing))} is measured")
    return found | dict(_OF_SETTINGS)
