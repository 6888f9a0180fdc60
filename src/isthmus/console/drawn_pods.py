"""Pods, addresses and endpoints that clusters would make of manifests, as documents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from isthmus.model.analyze.namespaces import is_ambient
from isthmus.model.analyze.pods import ENABLED
from isthmus.model.analyze.selection import Selection

Tree = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name of a document, by which it is known within its cluster where kinds are Kubernetes' own."""

_SIDECAR = "security.istio.io/tlsMode"
OWNERS = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"})
"""The kinds that have pods made."""
_INJECT = "sidecar.istio.io/inject"
_MOST_REPLICAS = 50


def meta_of(value: Mapping[str, Any]) -> Tree:
    """The metadata of a document; empty where it has none."""
    return part(value, "metadata")


def part(value: Mapping[str, Any], name: str) -> Tree:
    """A part of a document, which may have any shape while nobody has checked it; empty where there is no such."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def labels_of(meta: Mapping[str, Any], name: str = "labels") -> dict[str, str]:
    """Labels, or what else is a map of texts."""
    return {str(key): str(value) for key, value in part(meta, name).items()}


def parts(value: Mapping[str, Any], name: str) -> list[Tree]:
    """The objects in a list of a document; none where it has no such list."""
    found = value.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def namespace_of(value: Mapping[str, Any]) -> str:
    return str(meta_of(value).get("namespace") or "default")


def key_of(value: Mapping[str, Any]) -> Key:
    """By what a document is known."""
    return str(value.get("kind")), namespace_of(value), str(meta_of(value).get("name"))


def pods_of(owner: Tree, refusing: Container[str]) -> Iterator[Tree]:
    """The pods of a Deployment, StatefulSet, ReplicaSet or DaemonSet (one), named `owner-0` and so on.

    They have sidecars unless they, or their namespace (one of `refusing`), say no; those of a StatefulSet have
    host names.
    """
    if owner.get("kind") not in OWNERS:
        return
    spec = part(owner, "spec")
    template = part(spec, "template")
    name, namespace = meta_of(owner).get("name", ""), namespace_of(owner)
    labels = labels_of(meta_of(template))
    if _is_injected(template, namespace, refusing):
        labels.setdefault(_SIDECAR, "istio")
    wanted = 1 if owner["kind"] == "DaemonSet" else spec.get("replicas", 1)
    count = wanted if isinstance(wanted, int) else 1
    for number in range(min(count, _MOST_REPLICAS)):
        meta = {**meta_of(template), "name": f"{name}-{number}", "namespace": namespace, "labels": labels}
        own = dict(part(template, "spec"))
        if owner["kind"] == "StatefulSet" and spec.get("serviceName"):
            own |= {"hostname": meta["name"], "subdomain": spec["serviceName"]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": own}


def refusing_sidecars(values: Iterable[Tree]) -> set[str]:
    """The namespaces that say that their pods get no sidecars, or something else in their place."""
    found = {
        str(meta_of(each).get("name")): labels_of(meta_of(each))
        for each in values
        if each.get("kind") == "Namespace"
    }
    return {name for name, labels in found.items() if labels.get(ENABLED) == "disabled" or is_ambient(labels)}


def _is_injected(template: Tree, namespace: str, refusing: Container[str]) -> bool:
    """Whether a sidecar would be put in."""
    meta = meta_of(template)
    said = labels_of(meta).get(_INJECT) or labels_of(meta, "annotations").get(_INJECT)
    return namespace not in refusing if said is None else said.lower() == "true"


Addresses = dict[tuple[int, str, str, str], str]
"""The addresses that were made up, by cluster, kind, namespace and name."""
BALANCER = "Balancer"
"""In place of a kind: the address at which a cloud balances the load of a Service."""


def addressed(cluster: int, values: Iterable[Tree], given: Addresses) -> Callable[[Tree, str], str]:
    """A giver of addresses that nothing in `values` has, by cluster and order; one that was `given` stays."""
    used = {*_written_addresses(values), *given.values()}
    next_number = {"Pod": 0, "Service": 0, BALANCER: 0}

    def give(value: Tree, kind: str) -> str:
        key = (cluster, kind, namespace_of(value), str(meta_of(value).get("name")))
        while key not in given:
            next_number[kind] += 1
            found = _address(cluster, kind, next_number[kind])
            if found not in used or kind == BALANCER:
                given[key] = found
        return given[key]

    return give


def _address(cluster: int, kind: str, number: int) -> str:
    if kind == BALANCER:
        return f"203.0.113.{(cluster * 10 + number) % 255}"
    high = (100 if kind == "Pod" else 200) + cluster % 50
    return f"10.{high}.{number // 250}.{number % 250 + 1}"


def _written_addresses(values: Iterable[Tree]) -> Iterator[str]:
    for each in values:
        yield str(part(each, "spec").get("clusterIP", ""))
        yield str(part(each, "status").get("podIP", ""))


def with_addresses(value: Tree, give: Callable[[Tree, str], str]) -> Tree:
    """A Pod with an address, a Service with one of its own; other documents as they are."""
    spec = part(value, "spec")
    if value.get("kind") == "Pod" and not part(value, "status").get("podIP"):
        made = copy.deepcopy(value)
        made["status"] = {**part(value, "status"), "phase": "Running", "podIP": give(value, "Pod")}
        return made
    is_plain = value.get("kind") == "Service" and spec.get("type") != "ExternalName"
    if is_plain and not spec.get("clusterIP"):
        return {**value, "spec": {**spec, "clusterIP": give(value, "Service")}}
    return value


def balanced(value: Tree, give: Callable[[Tree, str], str]) -> Tree:
    """A Service of type LoadBalancer with the address that its cloud would give it, where nothing says one."""
    spec, status = part(value, "spec"), part(value, "status")
    if value.get("kind") != "Service" or spec.get("type") != "LoadBalancer" or spec.get("externalIPs"):
        return value
    if part(status, "loadBalancer").get("ingress"):
        return value
    return {**value, "status": {**status, "loadBalancer": {"ingress": [{"ip": give(value, BALANCER)}]}}}


class Behind:
    """The pods of a cluster and what is written of its endpoints: what Services lead to."""

    def __init__(self, pods: Iterable[Tree], values: Iterable[Tree]) -> None:
        self._pods: dict[str, Selection[Tree]] = {}
        by_namespace: dict[str, list[tuple[dict[str, str], Tree]]] = {}
        for pod in pods:
            if not part(pod, "status").get("podIP"):
                continue  # it does not run yet
            by_namespace.setdefault(namespace_of(pod), []).append((labels_of(meta_of(pod)), pod))
        self._pods = {namespace: Selection(found) for namespace, found in by_namespace.items()}
        self._sliced = {
            (namespace_of(each), labels_of(meta_of(each)).get("kubernetes.io/service-name"))
            for each in values
            if each.get("kind") == "EndpointSlice"
        }

    def slices_of(self, service: Tree) -> Iterator[Tree]:
        """The EndpointSlices that its cluster would make for a Service, where none is written.

        Pods on which its ports have other numbers are in slices of their own.
        """
        spec = part(service, "spec")
        selector, name, namespace = (
            labels_of(spec, "selector"),
            meta_of(service).get("name", ""),
            namespace_of(service),
        )
        if service.get("kind") != "Service" or not selector or (namespace, name) in self._sliced:
            return
        pods = self._pods.get(namespace)
        by_ports: dict[tuple[tuple[str, int, str], ...], list[Tree]] = {}
        for pod in pods.having(selector) if pods is not None else ():
            by_ports.setdefault(tuple(_target_ports(spec, pod)), []).append(pod)
        for number, (ports, behind) in enumerate(by_ports.items()):
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-{number}",
                    "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "endpoints": [_endpoint(pod, name) for pod in behind],
                "ports": [{"name": n, "port": p, "protocol": protocol} for n, p, protocol in ports],
            }


def _endpoint(pod: Tree, service: str) -> Tree:
    found: Tree = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": _is_ready(pod)},
        "targetRef": {"kind": "Pod", "name": meta_of(pod).get("name", ""), "namespace": namespace_of(pod)},
    }
    spec = part(pod, "spec")
    if spec.get("nodeName"):
        found["nodeName"] = spec["nodeName"]
    if spec.get("hostname") and spec.get("subdomain") == service:
        found["hostname"] = spec["hostname"]
    return found


def _is_ready(pod: Tree) -> bool:
    """What a cluster says of its pod; one that is made up is."""
    said = {each.get("type"): each.get("status") for each in parts(part(pod, "status"), "conditions")}
    return said.get("Ready", "True") == "True"


def _target_ports(spec: Tree, pod: Tree) -> Iterator[tuple[str, int, str]]:
    """Name, number on the pod and protocol of each port; those whose name the pod does not have are left out."""
    of_pod = part(pod, "spec")
    staying = (each for each in parts(of_pod, "initContainers") if each.get("restartPolicy") == "Always")
    named = {
        (port.get("name"), port.get("protocol", "TCP")): port.get("containerPort")
        for container in (*parts(of_pod, "containers"), *staying)
        for port in parts(container, "ports")
    }
    for port in parts(spec, "ports"):
        target = port.get("targetPort") or port.get("port")
        number = named.get((target, port.get("protocol", "TCP"))) if isinstance(target, str) else target
        if isinstance(number, int) and number:
            yield str(port.get("name", "")), number, str(port.get("protocol", "TCP"))
