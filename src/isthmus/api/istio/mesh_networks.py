"""MeshNetworks: ConfigMap `istio`, key `meshNetworks`. Source: Istio's reference of that name, every field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Part
from isthmus.api.yaml import documents
from isthmus.kit.ip import is_address

_LABEL = r"[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


class NetworkEndpoints(Part, frozen=True, kw_only=True):
    """Endpoints of a network: those in a range of addresses, or those of a cluster."""

    from_cidr: str = ""
    """A range of addresses, as `10.1.0.0/16`; the longest that holds an endpoint's address counts. Of ranges that two
    networks name, the first one's counts, which is told."""
    from_registry: str = ""
    """The name of a cluster, for its endpoints that no label places elsewhere; it counts before `fromCidr`."""


class NetworkGatewaySpec(Part, frozen=True, kw_only=True):
    """Where a network is entered: by the addresses of a Service, or by an address of its own."""

    registry_service_name: str = ""
    """A Service of the network's clusters, `NAME.NAMESPACE.svc.cluster.local`: the network is entered by its addresses.
    A label of the Service itself counts before. Envoy: addresses in place of those of endpoints behind it."""
    address: str = ""
    """An IP address, or a name that Pilot asks for, in place of a Service. Envoy: the `address` in place of those of
    endpoints behind it."""
    port: int = 0
    """The port at which it lets in, 15443 as a rule; it must be said. Envoy: the `port_value` beside the address."""
    locality: str = ""
    """Where it stands, as `region/zone/subzone`: it is for the endpoints nearest to it.
    Envoy: which gateways stand in for which endpoints."""


class NetworkSpec(Part, frozen=True, kw_only=True):
    """What belongs to a network, and where it is entered."""

    endpoints: tuple[NetworkEndpoints, ...] = ()
    """What belongs to the network. Labels of pods, `network` of WorkloadEntries, and the label of a cluster's root
    namespace count before."""
    gateways: tuple[NetworkGatewaySpec, ...] = ()
    """Where it is entered, beside Services that are labelled so; nowhere without any of both: then its endpoints are
    called directly.
    Envoy: these in place of endpoints for callers of other networks, with the weight of all behind them."""


class MeshNetworks(Part, frozen=True, kw_only=True):
    """The networks of the mesh, by name."""

    networks: dict[str, NetworkSpec] = {}
    """Each network by its name, the one that labels say: `topology.istio.io/network`."""


def read_mesh_networks(text: str) -> MeshNetworks:
    """The networks in `text`, YAML. Raises `InvalidConfig` with all that is wrong; paths are those within the text."""
    found = [document.value for document in documents(text)]
    if not found:
        return MeshNetworks()
    try:
        networks = msgspec.convert(found[0], MeshNetworks)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        raise InvalidConfig(path.strip("`") or "$", what[:1].lower() + what[1:]) from error
    wrong = tuple(_problems(networks))
    if wrong:
        raise InvalidConfig(*wrong[0], others=wrong[1:])
    return networks


def _problems(found: MeshNetworks) -> Iterator[tuple[str, str]]:
    for name, network in found.networks.items():
        at = f"$.networks[{name}]"
        if not name:
            yield "$.networks", "a network needs a name"
        for index, endpoints in enumerate(network.endpoints):
            yield from _endpoint_problems(f"{at}.endpoints[{index}]", endpoints)
        for index, gateway in enumerate(network.gateways):
            yield from _gateway_problems(f"{at}.gateways[{index}]", gateway)


def _endpoint_problems(at: str, found: NetworkEndpoints) -> Iterator[tuple[str, str]]:
    if bool(found.from_cidr) == bool(found.from_registry):
        yield at, "needs exactly one of fromCidr, fromRegistry"
    if found.from_cidr:
        try:
            ip_network(found.from_cidr, strict=False)
        except ValueError:
            yield f"{at}.fromCidr", f"{found.from_cidr!r} is no range of addresses (hint: 10.1.0.0/16)"


def _gateway_problems(at: str, found: NetworkGatewaySpec) -> Iterator[tuple[str, str]]:
    if bool(found.address) == bool(found.registry_service_name):
        yield at, "needs exactly one of address, registryServiceName"
    if not 1 <= found.port <= 65535:
        yield f"{at}.port", f"is {found.port or 'missing'} (hint: 15443 is usual)"
    if found.address and not _is_place(found.address):
        yield f"{at}.address", f"{found.address!r} is neither an IP address nor a host name"
    name = found.registry_service_name
    if name and len(name.split(".")) < 2:
        hint = f"hint: {name}.istio-system.svc.cluster.local"
        yield f"{at}.registryServiceName", f"{name!r} names no namespace ({hint})"


def _is_place(text: str) -> bool:
    # What looks like an address with a number too many is none of a host either.
    is_host = _HOST.fullmatch(text) and not text.rpartition(".")[2].isdecimal()
    return bool(is_host) or is_address(text)
