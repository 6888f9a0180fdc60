"""Services get their addresses when they are written, as in Kubernetes, and keep them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
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

    def __init__(self, api: Api, service_cidrs: Sequence[str], balancer_address: str) -> None:
        self._api = api
        self._ranges = tuple(map(_Range, service_cidrs))
        self._balancer_address = balancer_address

    def prepare(self, service: Json, old: Json | None) -> Json:
        """The Service with its addresses. Raises `Invalid` for one that is taken or outside the range."""
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return service
        if not spec.get("clusterIP") and spec.get("clusterIPs"):
            spec["clusterIP"] = spec["clusterIPs"][0]
        if old is not None and old["spec"].get("clusterIP") and not spec.get("clusterIP"):
            spec["clusterIP"] = old["spec"]["clusterIP"]
        families = self._families(service)
        spec["ipFamilies"] = [each.family for each in families]
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec.get("clusterIP") == "None":
            spec["clusterIPs"] = ["None"]
        else:
            self._give_addresses(service, old, families)
        if spec.get("type") in {"NodePort", "LoadBalancer"}:
            self._give_node_ports(service, (old or {}).get("spec") or {})
        else:
            for port in spec.get("ports") or []:
                port.pop("nodePort", None)
        ingress = {"ingress": [{"ip": self._balancer_address}]} if spec.get("type") == "LoadBalancer" else {}
        service["status"] = {**(service.get("status") or {}), "loadBalancer": ingress}
        return service

    def _families(self, service: Json) -> list[_Range]:
        """Of which families it gets addresses, its first one first."""
        spec, name = service["spec"], service["metadata"]["name"]
        policy = spec.get("ipFamilyPolicy", "SingleStack")
        asked = list(spec.get("ipFamilies") or [])
        if spec.get("clusterIP") not in {None, "", "None"} and not asked:
            asked = ["IPv6" if ":" in spec["clusterIP"] else "IPv4"]
        own = {each.family: each for each in self._ranges}
        for index, each in enumerate(asked):
            if each not in own:
                words = "not configured on this cluster"
                raise errors.invalid(_SERVICES, name, [invalid(f"spec.ipFamilies[{index}]", each, words)])
        if policy == "RequireDualStack" and len(own) < 2:
            words = "this cluster is not configured for dual-stack services"
            raise errors.invalid(_SERVICES, name, [invalid("spec.ipFamilyPolicy", policy, words)])
        ordered = list(dict.fromkeys([*asked, *own]))
        return [own[each] for each in ordered[: 1 if policy == "SingleStack" else 2]]

    def _give_addresses(self, service: Json, old: Json | None, families: list[_Range]) -> None:
        spec = service["spec"]
        if spec.get("clusterIP"):
            self._check(service, old, families[0])
        known = [*(spec.get("clusterIPs") or []), *((old or {}).get("spec", {}).get("clusterIPs") or [])]
        taken = self._taken()
        first = spec.get("clusterIP") or families[0].free(taken)
        others = (next(filter(each.__contains__, known), None) or each.free(taken) for each in families[1:])
        spec["clusterIP"], spec["clusterIPs"] = first, [first, *others]

    def _check(self, service: Json, old: Json | None, within: _Range) -> None:
        address, name = service["spec"]["clusterIP"], service["metadata"]["name"]
        before = (old or {}).get("spec", {}).get("clusterIP")
        if before == address:
            return
        if before:
            raise errors.invalid(_SERVICES, name, [immutable("spec.clusterIP", address)])
        try:
            inside = address in within
        except ValueError:
            inside = False
        if not inside:
            words = f"the provided IP is not in the valid range. The range of valid IPs is {within}"
            raise errors.invalid(_SERVICES, name, [invalid("spec.clusterIPs", [address], words)])
        if address in self._taken():
            raise errors.invalid(_SERVICES, name, [duplicate("spec.clusterIPs", address)])

    def _taken(self) -> set[str]:
        specs = [each["spec"] for each in self._api.list(_SERVICES).items]
        return {
            address for spec in specs for address in spec.get("clusterIPs") or [spec.get("clusterIP", "")]
        }

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


class _Range:
    """The addresses of one family that Services get."""

    def __init__(self, cidr: str) -> None:
        self._range = ipaddress.ip_network(cidr)
        self._next = _RESERVED

    def __contains__(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self._range

    def __str__(self) -> str:
        return str(self._range)

    @property
    def family(self) -> str:
        """As the API calls it."""
        return f"IPv{self._range.version}"

    def free(self, taken: set[str]) -> str:
        """The next one that is not taken. Raises `ApiError`."""
        count = self._range.num_addresses - 2
        for _ in range(count):
            self._next = self._next + 1 if self._next < count else _RESERVED
            address = str(self._range[self._next])
            if address not in taken:
                return address
        raise errors.ApiError(500, "InternalError", f"failed to allocate a serviceIP: {self} is full")
