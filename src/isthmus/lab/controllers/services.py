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
_RESERVED = 32  # addresses at the start of the range that are only given when asked for


class ServiceAddresses:
    """Gives cluster IPs, node ports and load balancer addresses. Install `prepare` for Services."""

    def __init__(self, api: Api, service_cidr: str, node_address: str) -> None:
        self._api = api
        self._range = ipaddress.ip_network(service_cidr)
        self._node_address = node_address
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
            self._give_node_ports(spec, (old or {}).get("spec") or {})
        if spec.get("type") == "LoadBalancer":
            service["status"] = {"loadBalancer": {"ingress": [{"ip": self._node_address}]}}
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

    def _give_node_ports(self, spec: Json, old: Json) -> None:
        kept = {(p["port"], p.get("protocol")): p.get("nodePort") for p in old.get("ports") or []}
        taken = {
            p.get("nodePort")
            for each in self._api.list(_SERVICES).items
            for p in each["spec"].get("ports") or []
        }
        free = (number for number in range(_FIRST_NODE_PORT, _LAST_NODE_PORT + 1) if number not in taken)
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = kept.get((port["port"], port.get("protocol"))) or next(free)
