"""Where a Service lets calls into a network: its load balancer's addresses, external ones, or ports of nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from isthmus.api.core.node import Node
from isthmus.api.core.service import Service
from isthmus.model.names import NetworkId

NETWORK_LABEL = "topology.istio.io/network"
_PORT_LABEL = "networking.istio.io/gatewayPort"
_NODES_ANNOTATION = "traffic.istio.io/nodeSelector"
USUAL_PORT = 15443
"""Where gateways between networks listen. Source: Istio's labels reference, `networking.istio.io/gatewayPort`."""


class Entrance(NamedTuple):
    """An address, which may be a name, and a port."""

    address: str
    port: int


class Wrong(ValueError):
    """A label or annotation of the Service that cannot be read; the message says which."""


def network_of_gateway(service: Service) -> NetworkId:
    """The network that the Service lets into; empty where it is no such gateway."""
    return NetworkId(service.metadata.labels.get(NETWORK_LABEL, ""))


def uses_nodes(service: Service) -> bool:
    """Whether it is entered at the nodes of its cluster."""
    return _NODES_ANNOTATION in service.metadata.annotations


def entrances(service: Service, nodes: Iterable[Node], port: int = 0) -> Iterator[Entrance]:
    """Where the Service is called from outside of its cluster. Raises `Wrong`.

    With a node selector, at the selected nodes; else at the addresses of its load balancer, and at its
    external ones. `port` is its own port that is meant, where its label does not say.
    """
    number = port or _port(service)
    if not uses_nodes(service):
        for ingress in service.status.load_balancer.ingress:
            yield Entrance(ingress.ip or ingress.hostname, number)
        for address in service.spec.external_ips:
            yield Entrance(address, number)
        return
    node_port = next((each.node_port for each in service.spec.ports if each.port == number), 0)
    if not node_port:
        raise Wrong(f"has no nodePort for port {number}, though it is entered at nodes (hint: type NodePort)")
    wanted = _selector(service)
    for node in nodes:
        if wanted.items() <= node.metadata.labels.items():
            for address in _outside(node):
                yield Entrance(address, node_port)


def _port(service: Service) -> int:
    text = service.metadata.labels.get(_PORT_LABEL, "")
    if not text:
        return USUAL_PORT
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise Wrong(f"label {_PORT_LABEL} is {text!r} (hint: a port, such as {USUAL_PORT})")
    return int(text)


def _selector(service: Service) -> dict[str, str]:
    text = service.metadata.annotations[_NODES_ANNOTATION]
    hint = 'hint: labels of nodes as JSON: {"zone": "a"}; {} for all'
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise Wrong(f"annotation {_NODES_ANNOTATION} is {text!r}, which is no JSON ({hint})") from error
    if not isinstance(found, dict):
        raise Wrong(f"annotation {_NODES_ANNOTATION} is {text!r} ({hint})")
    return {str(key): str(value) for key, value in found.items()}


def _outside(node: Node) -> list[str]:
    """The addresses of a node as others see it; of a node without external ones, its own."""
    by_type = [(each.type, each.address) for each in node.status.addresses]
    external = [address for type_, address in by_type if type_ == "ExternalIP"]
    return external or [address for type_, address in by_type if type_ == "InternalIP"]
