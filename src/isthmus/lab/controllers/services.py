"""Services get their addresses when they are written, as in Kubernetes, and keep them."""

from __future__ import annotations

import ipaddress
from typing import Any

from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.causes import duplicate, immutable, invalid

Json = dict[str, Any]
_SERVICES = builtin("services")
_FIRST_NODE_PORT, _LAST_NODE_PORT = 30000, 32767
_VALID_PORTS = f"The range of valid ports is {_FIRST_NODE_PORT}-{_LAST_NODE_PORT}"
_RESERVED = 32  # addresses at the start of the range that are only given when asked for


class ServiceAddresses:
    """Gives cluster IPs, node ports and load balancer addresses. Install `prepare` for Services."""

    def __init__(self, api: Api, service_cidr: str, balancer_address: str) -> None:
        self._api = api
        self._range = ipaddress.ip_network(service_cidr)
        self._balancer_address = balancer_address
        self._next = _RESERVED

    def prepare(self, service: Json, old: Json | None) -> Json:
        """The Service with its addresses. Raises `Invalid` for one that is taken or outside the range."""
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return service
        if old is not None and old["spec"].get("clusterIP") and not spec.get("clusterIP"):
            spec["clusterIP"] = old["spec"]["clusterIP"]
        if not spec.get("clusterIP"):
            spec["clusterIP"] = self._free()
        elif spec["clusterIP"] != "None":
            self._check(service, old)
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec.get("type") in {"NodePort", "LoadBalancer"}:
            self._give_node_ports(service, (old or {}).get("spec") or {})
        else:
            for port in spec.get("ports") or []:
                port.pop("nodePort", None)
        ingress = {"ingress": [{"ip": self._balancer_address}]} if spec.get("type") == "LoadBalancer" else {}
        service["status"] = {**(service.get("status") or {}), "loadBalancer": ingress}
        return service

    def _check(self, service: Json, old: Json | None) -> None:
        address, name = service["spec"]["clusterIP"], service["metadata"]["name"]
        before = (old or {}).get("spec", {}).get("clusterIP")
        if before == address:
            return
        if before:
            raise errors.invalid(_SERVICES, name, [immutable("spec.clusterIP", address)])
        try:
            inside = ipaddress.ip_address(address) in self._range
        except ValueError:
            inside = False
        if not inside:
            words = f"the provided IP is not in the valid range. The range of valid IPs is {self._range}"
            raise errors.invalid(_SERVICES, name, [invalid("spec.clusterIPs", [address], words)])
        if address in self._taken():
            raise errors.invalid(_SERVICES, name, [duplicate("spec.clusterIPs", address)])

    def _taken(self) -> set[str]:
        return {each["spec"].get("clusterIP", "") for each in self._api.list(_SERVICES).items}

    def _free(self) -> str:
        taken, count = self._taken(), self._range.num_addresses - 2
        for _ in range(count):
            self._next = self._next + 1 if self._next < count else _RESERVED
            address = str(self._range[self._next])
            if address not in taken:
                return address
        raise errors.ApiError(500, "InternalError", f"failed to allocate a serviceIP: {self._range} is full")

    def _give_node_ports(self, service: Json, old: Json) -> None:
        spec, name = service["spec"], service["metadata"]["name"]
        kept = {(p["port"], p.get("protocol")): p.get("nodePort") for p in old.get("ports") or []}
        taken = self._taken_ports() - set(kept.values())
        for index, port in enumerate(spec.get("ports") or []):
            place, number = f"spec.ports[{index}].nodePort", port.get("nodePort")
            if number in taken:
                raise errors.invalid(
                    _SERVICES, name, [invalid(place, number, "provided port is already allocated")]
                )
            if number and not _FIRST_NODE_PORT <= number <= _LAST_NODE_PORT:
                words = f"provided port is not in the valid range. {_VALID_PORTS}"
                raise errors.invalid(_SERVICES, name, [invalid(place, number, words)])
        taken |= {port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")}
        free = (number for number in range(_FIRST_NODE_PORT, _LAST_NODE_PORT + 1) if number not in taken)
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = kept.get((port["port"], port.get("protocol"))) or next(free)

    def _taken_ports(self) -> set[int]:
        return {
            port["nodePort"]
            for each in self._api.list(_SERVICES).items
            for port in each["spec"].get("ports") or []
            if port.get("nodePort")
        }
