"""Services, endpoints and what leads to them in one line each."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.cell_parts import age_cell, few, joined, labels_cell

Json = dict[str, Any]


def service_cells(obj: Json, now: float) -> list[Any]:
    """NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR."""
    spec = obj.get("spec") or {}
    return [
        obj["metadata"]["name"],
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or "<none>",
        _external(obj),
        joined(_service_port(each) for each in spec.get("ports") or ()),
        age_cell(obj, now),
        labels_cell(spec.get("selector")),
    ]


def _external(service: Json) -> str:
    spec = service.get("spec") or {}
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    given = [each.get("ip") or each.get("hostname", "") for each in ingress]
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            return ",".join([*given, *(spec.get("externalIPs") or ())]) or "<pending>"
        case _:
            return joined(spec.get("externalIPs") or ())


def _service_port(port: Json) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def endpoints_cells(obj: Json, now: float) -> list[Any]:
    """NAME ENDPOINTS AGE."""
    found = [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or [{}]
        for address in subset.get("addresses") or ()
    ]
    return [obj["metadata"]["name"], few(found), age_cell(obj, now)]


def endpoint_slice_cells(obj: Json, now: float) -> list[Any]:
    """NAME ADDRESSTYPE PORTS ENDPOINTS AGE."""
    ports = [str(each.get("port", "*")) for each in obj.get("ports") or ()]
    addresses = [address for each in obj.get("endpoints") or () for address in each.get("addresses") or ()]
    return [
        obj["metadata"]["name"],
        obj.get("addressType"),
        few(ports, "<unset>"),
        few(addresses, "<unset>"),
        age_cell(obj, now),
    ]


def ingress_cells(obj: Json, now: float) -> list[Any]:
    """NAME CLASS HOSTS ADDRESS PORTS AGE."""
    spec = obj.get("spec") or {}
    hosts = [each.get("host") or "*" for each in spec.get("rules") or ()]
    given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    addresses = ",".join(each.get("ip") or each.get("hostname", "") for each in given)
    ports = "80, 443" if spec.get("tls") else "80"
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName") or "<none>",
        few(hosts, "*"),
        addresses,
        ports,
        age_cell(obj, now),
    ]


def policy_cells(obj: Json, now: float) -> list[Any]:
    """NAME POD-SELECTOR AGE."""
    selector = (obj.get("spec") or {}).get("podSelector") or {}
    return [obj["metadata"]["name"], labels_cell(selector.get("matchLabels")), age_cell(obj, now)]
