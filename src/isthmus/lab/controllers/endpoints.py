"""Endpoints and EndpointSlices: which pods serve a Service. Those of Services without selector are mirrored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself, key_of, owned_by
from isthmus.lab.controllers.replicasets import is_ready

Json = dict[str, Any]
_PODS, _SERVICES, _NODES = builtin("pods"), builtin("services"), builtin("nodes")
_ENDPOINTS, _SLICES = builtin("endpoints"), builtin("endpointslices", "discovery.k8s.io")
_SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_ZONE = "topology.kubernetes.io/zone"


class EndpointsController:
    """Keeps the Endpoints and the one EndpointSlice of each Service."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow Services, pods and hand-made Endpoints until cancelled."""
        sources = {_SERVICES: itself, _PODS: self._services_of, _ENDPOINTS: itself}
        await Reconciler("endpoints", self._api, sources, self._reconcile).run()

    def _services_of(self, pod: Json) -> Iterable[Key]:
        labels = pod["metadata"].get("labels") or {}
        for service in self._api.list(_SERVICES, pod["metadata"]["namespace"]).items:
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels.items():
                yield key_of(service)

    async def _reconcile(self, key: Key) -> None:
        service = self._api.find(_SERVICES, *key)
        if service is None:
            for each, name in ((_ENDPOINTS, key[1]), (_SLICES, _slice_name(key[1]))):
                if self._api.find(each, key[0], name) is not None:
                    await self._api.delete(Target(each, key[0], name))
            return
        if service["spec"].get("selector"):
            pods = [pod for pod in self._selected(service) if _address(pod)]
            await self._put(_ENDPOINTS, endpoints_object(service, pods))
            await self._put(_SLICES, slice_object(service, pods, self._zone))
        else:
            hand_made = self._api.find(_ENDPOINTS, *key)
            if hand_made is not None:
                await self._put(_SLICES, mirrored(service, hand_made))

    def _selected(self, service: Json) -> list[Json]:
        wanted = service["spec"]["selector"].items()
        pods = self._api.list(_PODS, service["metadata"]["namespace"]).items
        return [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]

    def _zone(self, node: str) -> str:
        found = self._api.find(_NODES, "", node) if node else None
        return str(((found or {}).get("metadata", {}).get("labels") or {}).get(_ZONE, ""))

    async def _put(self, each: Any, wanted: Json) -> None:
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
    groups: dict[tuple[tuple[str, int, str], ...], tuple[list[Json], list[Json]]] = {}
    for pod in sorted(pods, key=_address):
        ports = tuple(target_ports(service, pod))
        if not ports or pod["metadata"].get("deletionTimestamp"):
            continue
        serving, waiting = groups.setdefault(ports, ([], []))
        entry = {
            "ip": _address(pod),
            "nodeName": pod["spec"].get("nodeName", ""),
            "targetRef": _reference(pod),
        }
        (serving if _counts_as_ready(service, pod) else waiting).append(entry)
    subsets = []
    for ports, (serving, waiting) in groups.items():
        subset: Json = {"addresses": serving} if serving else {}
        subset |= {"notReadyAddresses": waiting} if waiting else {}
        subset["ports"] = [
            {**({"name": name} if name else {}), "port": number, "protocol": protocol}
            for name, number, protocol in ports
        ]
        subsets.append(subset)
    meta = service["metadata"]
    made: Json = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": meta.get("labels") or {},
        },
    }
    return made | ({"subsets": subsets} if subsets else {})


def slice_object(service: Json, pods: list[Json], zone: Any) -> Json:
    """The EndpointSlice of a Service that `pods` serve."""
    ports: list[tuple[str, int, str]] = []
    entries = []
    for pod in sorted(pods, key=_address):
        here = target_ports(service, pod)
        if not here:
            continue
        ports = ports or here
        if here != ports:
            continue  # another set of ports would need a slice of its own
        ready = is_ready(pod)
        leaving = bool(pod["metadata"].get("deletionTimestamp"))
        node = pod["spec"].get("nodeName", "")
        entry: Json = {
            "addresses": [_address(pod)],
            "conditions": {
                "ready": _counts_as_ready(service, pod) and not leaving,
                "serving": ready,
                "terminating": leaving,
            },
            "targetRef": _reference(pod),
            "nodeName": node,
        }
        entry |= {"zone": zone(node)} if zone(node) else {}
        if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
            entry["hostname"] = pod["spec"]["hostname"]
        entries.append(entry)
    return _slice(service, entries, ports, "endpointslice-controller.k8s.io")


def mirrored(service: Json, hand_made: Json) -> Json:
    """The EndpointSlice of a Service without selector: what its hand-made Endpoints say."""
    entries: list[Json] = []
    ports: list[tuple[str, int, str]] = []
    for subset in hand_made.get("subsets") or []:
        here = [(p.get("name", ""), p["port"], p.get("protocol", "TCP")) for p in subset.get("ports") or []]
        ports = ports or here
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or []:
                entry: Json = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
                entry |= {"targetRef": address["targetRef"]} if address.get("targetRef") else {}
                entries.append(entry)
    made = _slice(service, entries, ports, "endpointslicemirroring-controller.k8s.io")
    made["metadata"]["labels"] = {**(hand_made["metadata"].get("labels") or {}), **made["metadata"]["labels"]}
    return made


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


def _slice_name(service: str) -> str:
    return f"{service}-isthmus"


def _slice(service: Json, entries: list[Json], ports: list[tuple[str, int, str]], manager: str) -> Json:
    meta = service["metadata"]
    labels = {**(meta.get("labels") or {}), _SERVICE_NAME: meta["name"], _MANAGED_BY: manager}
    if service["spec"].get("clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": _slice_name(meta["name"]),
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owned_by(service)],
        },
        "addressType": "IPv4",
        "endpoints": entries,
        "ports": [{"name": name, "port": number, "protocol": protocol} for name, number, protocol in ports],
    }


def _address(pod: Json) -> str:
    status = pod.get("status") or {}
    return "" if status.get("phase") in {"Succeeded", "Failed"} else str(status.get("podIP", ""))


def _counts_as_ready(service: Json, pod: Json) -> bool:
    return is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses"))


def _reference(pod: Json) -> Json:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
