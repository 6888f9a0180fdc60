"""Pods, addresses and endpoints that clusters would make of manifests, as documents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Tree = dict[str, Any]

_SIDECAR = "security.istio.io/tlsMode"
_INJECT = "sidecar.istio.io/inject"
_MOST_REPLICAS = 50


def meta_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a document; empty where it has none."""
    found = value.get("metadata")
    return found if isinstance(found, dict) else {}


def namespace_of(value: Mapping[str, Any]) -> str:
    return str(meta_of(value).get("namespace") or "default")


def pods_of(owner: Tree, values: Iterable[Tree]) -> Iterator[Tree]:
    """The pods of a Deployment, StatefulSet, ReplicaSet or DaemonSet (one), named `owner-0` and so on."""
    if owner.get("kind") not in {"Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"}:
        return
    spec = owner.get("spec") or {}
    template = spec.get("template") or {}
    name, namespace = meta_of(owner).get("name", ""), namespace_of(owner)
    labels = dict(meta_of(template).get("labels") or {})
    if _is_injected(template, namespace, values):
        labels.setdefault(_SIDECAR, "istio")
    count = 1 if owner["kind"] == "DaemonSet" else spec.get("replicas", 1)
    for number in range(min(int(count), _MOST_REPLICAS)):
        meta = {**meta_of(template), "name": f"{name}-{number}", "namespace": namespace, "labels": labels}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template.get("spec") or {}}


def _is_injected(template: Tree, namespace: str, values: Iterable[Tree]) -> bool:
    """Whether a sidecar would be put in: yes, unless the pod or its namespace says no."""
    meta = meta_of(template)
    said = (meta.get("labels") or {}).get(_INJECT) or (meta.get("annotations") or {}).get(_INJECT)
    if said is not None:
        return str(said).lower() == "true"
    for each in values:
        if each.get("kind") == "Namespace" and meta_of(each).get("name") == namespace:
            return bool((meta_of(each).get("labels") or {}).get("istio-injection") != "disabled")
    return True


def addressed(cluster: int, values: Iterable[Tree]) -> Callable[[str], str]:
    """A giver of addresses that nothing in `values` has: for `Pod` and `Service`, by cluster and order."""
    used = set(_written_addresses(values))
    next_number = {"Pod": 0, "Service": 0}

    def give(kind: str) -> str:
        while True:
            next_number[kind] += 1
            number = next_number[kind]
            high = (100 if kind == "Pod" else 200) + cluster % 50
            found = f"10.{high}.{number // 250}.{number % 250 + 1}"
            if found not in used:
                return found

    return give


def _written_addresses(values: Iterable[Tree]) -> Iterator[str]:
    for each in values:
        yield str((each.get("spec") or {}).get("clusterIP", ""))
        yield str((each.get("status") or {}).get("podIP", ""))


def with_addresses(value: Tree, give: Callable[[str], str]) -> Tree:
    """A Pod with an address, a Service with one of its own; other documents as they are."""
    spec = value.get("spec") or {}
    if value.get("kind") == "Pod" and not (value.get("status") or {}).get("podIP"):
        made = copy.deepcopy(value)
        made["status"] = {**(value.get("status") or {}), "phase": "Running", "podIP": give("Pod")}
        return made
    is_plain = value.get("kind") == "Service" and spec.get("type") != "ExternalName"
    if is_plain and not spec.get("clusterIP"):
        return {**value, "spec": {**spec, "clusterIP": give("Service")}}
    return value


def slices_of(service: Tree, pods: Iterable[Tree], values: Iterable[Tree]) -> Iterator[Tree]:
    """The EndpointSlices that its cluster would make for a Service, where none is written.

    Pods on which its ports have other numbers are in slices of their own.
    """
    spec = service.get("spec") or {}
    selector, name = spec.get("selector"), meta_of(service).get("name", "")
    if service.get("kind") != "Service" or not selector or _is_sliced(service, values):
        return
    by_ports: dict[tuple[tuple[str, int, str], ...], list[Tree]] = {}
    for pod in pods:
        labels = meta_of(pod).get("labels") or {}
        if namespace_of(pod) == namespace_of(service) and selector.items() <= labels.items():
            by_ports.setdefault(tuple(_target_ports(spec, pod)), []).append(pod)
    for number, (ports, behind) in enumerate(by_ports.items()):
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-{number}",
                "namespace": namespace_of(service),
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in behind],
            "ports": [{"name": n, "port": p, "protocol": protocol} for n, p, protocol in ports],
        }


def _is_sliced(service: Tree, values: Iterable[Tree]) -> bool:
    name, namespace = meta_of(service).get("name"), namespace_of(service)
    return any(
        each.get("kind") == "EndpointSlice"
        and namespace_of(each) == namespace
        and (meta_of(each).get("labels") or {}).get("kubernetes.io/service-name") == name
        for each in values
    )


def _endpoint(pod: Tree) -> Tree:
    found: Tree = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": meta_of(pod).get("name", ""), "namespace": namespace_of(pod)},
    }
    node = (pod.get("spec") or {}).get("nodeName")
    return {**found, "nodeName": node} if node else found


def _target_ports(spec: Tree, pod: Tree) -> Iterator[tuple[str, int, str]]:
    """Name, number on the pod and protocol of each port; those whose name the pod does not have are left out."""
    named = {
        port.get("name"): port.get("containerPort")
        for container in (pod.get("spec") or {}).get("containers") or ()
        for port in container.get("ports") or ()
    }
    for port in spec.get("ports") or ():
        target = port.get("targetPort") or port.get("port")
        number = named.get(target) if isinstance(target, str) else target
        if number:
            yield str(port.get("name", "")), int(number), str(port.get("protocol", "TCP"))
