"""The mesh that both are given: one cluster's objects, made by numbers, the same each time.

Services in namespaces of twenty; each has as many endpoints as proxies need that stand beside them, at least ten.
Proxy `i` is a pod that serves service `i` modulo the services, in its namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.fleet.envoy import Who

Json = dict[str, Any]
PORT, TARGET = 80, 8080
PER_NAMESPACE, ENDPOINTS, ROOT_NAMESPACE = 20, 10, "istio-system"
MARKED, MOST_MARKS = "198.{}.{}.{}", 1 << 17


@dataclass(frozen=True, slots=True)
class Size:
    """How large the mesh is, and whether each namespace sees only itself."""

    services: int
    proxies: int
    scoped: bool

    def __str__(self) -> str:
        how = f"scoped to {PER_NAMESPACE}" if self.scoped else "unscoped"
        return f"{self.services:,} services, {self.proxies:,} proxies, {how}"

    @property
    def namespaces(self) -> int:
        """As many as are needed."""
        return -(-self.services // PER_NAMESPACE)

    @property
    def endpoints(self) -> int:
        """Of each service."""
        return max(ENDPOINTS, -(-self.proxies // self.services))


def namespace_of(service: int) -> str:
    """Its namespace."""
    return f"ns-{service // PER_NAMESPACE}"


def address(service: int, endpoint: int, block: int = 10) -> str:
    """The address of an endpoint: each has its own, up to 65,536 services."""
    return f"{block}.{service >> 8}.{service & 255}.{endpoint + 1}"


def mark(number: int) -> str:
    """An address that no other change has had."""
    return MARKED.format(18 + (number >> 16 & 1), number >> 8 & 255, number & 255)


def who(size: Size, proxy: int, cluster: str) -> Who:
    """Whom a proxy says that it is."""
    service, endpoint = proxy % size.services, proxy // size.services
    labels = (("app", f"svc-{service}"), ("service.istio.io/canonical-name", f"svc-{service}"))
    return Who(f"pod-{proxy}", namespace_of(service), address(service, endpoint), cluster, labels)


def pod(size: Size, proxy: int) -> Json:
    """A pod that runs; its status comes by itself."""
    who_ = who(size, proxy, "")
    container = {"name": "app", "image": "registry.example/app:1", "ports": [{"containerPort": TARGET}]}
    proxy_ = {"name": "istio-proxy", "image": "registry.example/proxy:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": who_.name, "namespace": who_.namespace, "labels": dict(who_.labels)},
        "spec": {"containers": [container, proxy_], "nodeName": "node-1", "serviceAccountName": "default"},
    }


def pod_status(size: Size, proxy: int) -> Json:
    """What a kubelet says of it."""
    ip = who(size, proxy, "").address
    ready = {"type": "Ready", "status": "True"}
    return {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]}}


def service(number: int, name: str = "svc", namespace: str = "") -> Json:
    """A Service with a port of HTTP."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-{number}", "namespace": namespace or namespace_of(number)},
        "spec": {
            "ports": [{"name": "http", "port": PORT, "targetPort": TARGET}],
        },
    }


def endpoint_slice(number: int, addresses: tuple[str, ...], pods: dict[str, str], name: str = "svc") -> Json:
    """Its endpoints; `pods`: who stands at which address."""
    namespace = namespace_of(number)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": f"{name}-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": TARGET, "protocol": "TCP"}],
        "endpoints": [_endpoint(each, namespace, pods.get(each)) for each in addresses],
    }


def _endpoint(at: str, namespace: str, pod_name: str | None) -> Json:
    found: Json = {"addresses": [at], "conditions": {"ready": True, "serving": True, "terminating": False}}
    if pod_name:
        found["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": pod_name}
    return found


def sidecar(namespace: str) -> Json:
    """A namespace that sees itself."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {"egress": [{"hosts": ["./*"]}]},
    }


def virtual_service(number: int, marked: str) -> Json:
    """Rules for a service, of which one matches a prefix that is the mark."""
    to = [{"destination": {"host": f"svc-{number}.{namespace_of(number)}.svc.cluster.local"}}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": f"svc-{number}", "namespace": namespace_of(number)},
        "spec": {
            "hosts": [f"svc-{number}.{namespace_of(number)}.svc.cluster.local"],
            "http": [{"match": [{"uri": {"prefix": f"/{marked}"}}], "route": to}, {"route": to}],
        },
    }


def mesh_config(marked: str) -> Json:
    """Settings of the mesh that every listener says in its log."""
    text = f'accessLogFile: /dev/stdout\naccessLogFormat: "{marked} %RESPONSE_CODE%\\n"\n'
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": ROOT_NAMESPACE},
        "data": {"mesh": text},
    }


def namespace(name: str) -> Json:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def upstream(number: int, name: str = "svc", in_namespace: str = "") -> str:
    """By which name Envoy knows the service and its endpoints."""
    where = in_namespace or namespace_of(number)
    return f"outbound|{PORT}||{name}-{number}.{where}.svc.cluster.local"


def collection(obj: Json) -> str:
    """The URL path of the collection that it is in."""
    kind, version = obj["kind"], obj["apiVersion"]
    plural = {"EndpointSlice": "endpointslices"}.get(kind, f"{kind.lower()}s")
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = obj["metadata"].get("namespace")
    return f"{prefix}/namespaces/{within}/{plural}" if within else f"{prefix}/{plural}"
