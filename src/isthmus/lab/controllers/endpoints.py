"""Endpoints and EndpointSlices: which pods serve a Service. Those of Services without selector are mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself, key_of, owned_by
from isthmus.lab.controllers.replicasets import is_ready

Json = dict[str, Any]
Ports = tuple[tuple[str, int, str], ...]
"""Name, number and protocol of each."""
_PODS, _SERVICES, _NODES = builtin("pods"), builtin("services"), builtin("nodes")
_ENDPOINTS, _SLICES = builtin("endpoints"), builtin("endpointslices", "discovery.k8s.io")
_SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"
_MIRRORING = "endpointslicemirroring-controller.k8s.io"
_OURS = f"{_CONTROLLER},{_MIRRORING}"
_ZONE = "topology.kubernetes.io/zone"


class EndpointsController:
    """Keeps the Endpoints and the EndpointSlices of each Service."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow Services, pods and hand-made Endpoints until cancelled."""
        sources = {_SERVICES: itself, _PODS: self._services_of, _ENDPOINTS: self._service_of}
        await Reconciler("endpoints", self._api, sources, self._reconcile).run()

    def _services_of(self, pod: Json) -> Iterable[Key]:
        labels = pod["metadata"].get("labels") or {}
        for service in self._api.list(_SERVICES, pod["metadata"]["namespace"]).items:
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels.items():
                yield key_of(service)

    def _service_of(self, endpoints: Json) -> Iterable[Key]:
        # Endpoints may be written before their Service: then they wait for it.
        if self._api.find(_SERVICES, *key_of(endpoints)) is not None:
            yield key_of(endpoints)

    async def _reconcile(self, key: Key) -> None:
        namespace, name = key
        service = self._api.find(_SERVICES, namespace, name)
        if service is None:
            await self._drop(_ENDPOINTS, namespace, name)
            await self._put_slices(namespace, name, [])
        elif service["spec"].get("selector"):
            pods = [pod for pod in self._selected(service) if _address(pod)]
            await self._put(_ENDPOINTS, endpoints_object(service, pods))
            made = [
                each for kind in address_types(service) for each in slices(service, pods, self._zone, kind)
            ]
            await self._put_slices(namespace, name, made)
        else:
            hand_made = self._api.find(_ENDPOINTS, namespace, name)
            await self._put_slices(namespace, name, mirrored(service, hand_made) if hand_made else [])

    async def _put_slices(self, namespace: str, service: str, wanted: list[Json]) -> None:
        """Make `wanted` all the slices of ours that the Service has."""
        for each in wanted:
            await self._put(_SLICES, each)
        kept = {each["metadata"]["name"] for each in wanted}
        found = self._api.list(_SLICES, namespace, f"{_SERVICE_NAME}={service},{_MANAGED_BY} in ({_OURS})")
        for each in found.items:
            if each["metadata"]["name"] not in kept:
                await self._drop(_SLICES, namespace, each["metadata"]["name"])

    async def _drop(self, each: ResourceType, namespace: str, name: str) -> None:
        if self._api.find(each, namespace, name) is not None:
            await self._api.delete(Target(each, namespace, name))

    def _selected(self, service: Json) -> list[Json]:
        wanted = service["spec"]["selector"].items()
        pods = self._api.list(_PODS, service["metadata"]["namespace"]).items
        return [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]

    def _zone(self, node: str) -> str:
        found = self._api.find(_NODES, "", node) if node else None
        return str(((found or {}).get("metadata", {}).get("labels") or {}).get(_ZONE, ""))

    async def _put(self, each: ResourceType, wanted: Json) -> None:
        namespace, name = key_of(wanted)
        old = self._api.find(each, namespace, name)
        if old is None:
            await self._api.create(each, wanted)
            return
        meta = {**old["metadata"], "labels": wanted["metadata"].get("labels", {})}
        changed = {**wanted, "metadata": meta}
        changed["metadata"].pop("managedFields", None)
        await self._api.update(Target(each, namespace, name), changed)


def endpoints_object(service: Json, pods: list[Json]) -> Json:
    """The Endpoints of a Service that `pods` serve; pods of one set of ports share a subset."""
    subsets, kind = [], address_types(service)[0]
    for ports, group in _by_ports(service, [pod for pod in pods if _address(pod, kind)]).items():
        serving = [_subset_entry(pod, kind) for pod in group if _takes_new(service, pod)]
        waiting = [
            _subset_entry(pod, kind) for pod in group if not _takes_new(service, pod) and not _leaves(pod)
        ]
        if not serving and not waiting:
            continue
        subset: Json = {"addresses": serving} if serving else {}
        subset |= {"notReadyAddresses": waiting} if waiting else {}
        numbers = [
            {**({"name": name} if name else {}), "port": number, "protocol": protocol}
            for name, number, protocol in ports
        ]
        subsets.append(subset | ({"ports": numbers} if numbers else {}))
    meta = service["metadata"]
    labels = {**(meta.get("labels") or {}), **_headless(service)}
    made: Json = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": labels},
    }
    return made | ({"subsets": subsets} if subsets else {})


def address_type(address: str) -> str:
    """As an EndpointSlice calls the family of an address."""
    return "IPv6" if ":" in address else "IPv4"


def address_types(service: Json) -> list[str]:
    """The families that the Service is of, its first one first."""
    return service["spec"].get("ipFamilies") or ["IPv4"]


def slices(service: Json, pods: list[Json], zone: Callable[[str], str], kind: str = "IPv4") -> list[Json]:
    """The EndpointSlices of one family of a Service that `pods` serve: one for each set of ports, and one if
    there is none."""
    groups = _by_ports(service, [pod for pod in pods if _address(pod, kind)]) or {(): []}
    return [
        _slice(service, index, [_slice_entry(service, pod, zone, kind) for pod in group], ports, kind)
        for index, (ports, group) in enumerate(groups.items())
    ]


def mirrored(service: Json, hand_made: Json) -> list[Json]:
    """The EndpointSlices of a Service without selector: one for each subset and family of its hand-made Endpoints."""
    return [
        _mirrored(service, hand_made, (index, subset), kind)
        for index, subset in enumerate(hand_made.get("subsets") or [])
        for kind in sorted({address_type(each["ip"]) for _, each in _listed(subset)} or {"IPv4"})
    ]


def _mirrored(service: Json, hand_made: Json, subset: tuple[int, Json], kind: str) -> Json:
    index, own = subset
    ports = tuple((p.get("name", ""), p["port"], p.get("protocol", "TCP")) for p in own.get("ports") or [])
    entries = []
    for ready, address in _listed(own):
        if address_type(address["ip"]) == kind:
            kept = {key: address[key] for key in ("targetRef", "hostname", "nodeName") if address.get(key)}
            entries.append({"addresses": [address["ip"]], "conditions": {"ready": ready}} | kept)
    made = _slice(service, index, entries, ports, kind)
    labels = hand_made["metadata"].get("labels") or {}
    made["metadata"]["labels"] = {**labels, **made["metadata"]["labels"], _MANAGED_BY: _MIRRORING}
    return made


def _listed(subset: Json) -> list[tuple[bool, Json]]:
    """The addresses of a subset, and whether they are ready."""
    fields = (("addresses", True), ("notReadyAddresses", False))
    return [(ready, address) for field, ready in fields for address in subset.get(field) or []]


def _by_ports(service: Json, pods: list[Json]) -> dict[Ports, list[Json]]:
    """The pods, by address, in groups that have the Service's ports in the same places."""
    groups: dict[Ports, list[Json]] = {}
    for pod in sorted(pods, key=_address):
        ports = tuple(target_ports(service, pod))
        if ports or not service["spec"].get("ports"):
            groups.setdefault(ports, []).append(pod)
    return groups


def _subset_entry(pod: Json, kind: str) -> Json:
    entry: Json = {"ip": _address(pod, kind), "targetRef": _reference(pod)}
    entry |= {"nodeName": pod["spec"]["nodeName"]} if pod["spec"].get("nodeName") else {}
    return entry | ({"hostname": pod["spec"]["hostname"]} if pod["spec"].get("hostname") else {})


def _slice_entry(service: Json, pod: Json, zone: Callable[[str], str], kind: str) -> Json:
    node = pod["spec"].get("nodeName", "")
    entry: Json = {
        "addresses": [_address(pod, kind)],
        "conditions": {
            "ready": _takes_new(service, pod),
            "serving": is_ready(pod),
            "terminating": _leaves(pod),
        },
        "targetRef": _reference(pod),
    }
    entry |= {"nodeName": node} if node else {}
    entry |= {"zone": zone(node)} if zone(node) else {}
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
        entry["hostname"] = pod["spec"]["hostname"]
    return entry


def target_ports(service: Json, pod: Json) -> list[tuple[str, int, str]]:
    """The pod's own number for each of the Service's ports: name, number, protocol."""
    found = []
    for port in service["spec"].get("ports") or []:
        target = port.get("targetPort", port["port"])
        number = _named_port(pod, target) if isinstance(target, str) else target
        if number is not None:
            found.append((port.get("name", ""), number, port.get("protocol", "TCP")))
    return found


def _named_port(pod: Json, name: str) -> int | None:
    if name.isdigit():
        return int(name)
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def _slice(service: Json, index: int, entries: list[Json], ports: Ports, kind: str) -> Json:
    meta = service["metadata"]
    labels = {**(meta.get("labels") or {}), _SERVICE_NAME: meta["name"], _MANAGED_BY: _CONTROLLER}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta['name']}-isthmus{'-six' if kind == 'IPv6' else ''}{f'-{index + 1}' if index else ''}",
            "namespace": meta["namespace"],
            "labels": labels | _headless(service),
            "ownerReferences": [owned_by(service)],
        },
        "addressType": kind,
        "endpoints": entries,
        "ports": [{"name": name, "port": number, "protocol": protocol} for name, number, protocol in ports],
    }


def _headless(service: Json) -> dict[str, str]:
    return {"service.kubernetes.io/headless": ""} if service["spec"].get("clusterIP") == "None" else {}


def _address(pod: Json, kind: str = "") -> str:
    """The pod's address, or that of a family; empty where it has none, or has finished."""
    status = pod.get("status") or {}
    every = [status.get("podIP", ""), *(each["ip"] for each in status.get("podIPs") or [])]
    if status.get("phase") in {"Succeeded", "Failed"}:
        return ""
    return next((each for each in every if each and kind in {"", address_type(each)}), "")


def _takes_new(service: Json, pod: Json) -> bool:
    """Whether new connections should go to the pod."""
    return bool(service["spec"].get("publishNotReadyAddresses")) or (is_ready(pod) and not _leaves(pod))


def _leaves(pod: Json) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _reference(pod: Json) -> Json:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
