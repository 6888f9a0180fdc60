"""MeshNetworks: ConfigMap `istio`, key `meshNetworks`. Source: Istio's reference of that name, every field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Part
from isthmus.api.yaml import documents

_LABEL = r"[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


class NetworkEndpoints(Part, frozen=True, kw_only=True):
    """Endpoints of a network: those in a range of addresses, or those of a cluster."""

    from_cidr: str = ""
    from_registry: str = ""


class NetworkGatewaySpec(Part, frozen=True, kw_only=True):
    """Where a network is entered: by the addresses of a Service, or by an address of its own."""

    registry_service_name: str = ""  # name.namespace.svc.cluster.local
    address: str = ""
    port: int = 0
    locality: str = ""  # region/zone/subzone


class NetworkSpec(Part, frozen=True, kw_only=True):
    """What belongs to a network, and where it is entered."""

    endpoints: tuple[NetworkEndpoints, ...] = ()
    gateways: tuple[NetworkGatewaySpec, ...] = ()


class MeshNetworks(Part, frozen=True, kw_only=True):
    """The networks of the mesh, by name."""

    networks: dict[str, NetworkSpec] = {}


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
    if found.address and not _is_address(found.address):
        yield f"{at}.address", f"{found.address!r} is neither an IP address nor a host name"
    name = found.registry_service_name
    if name and len(name.split(".")) < 2:
        hint = f"hint: {name}.istio-system.svc.cluster.local"
        yield f"{at}.registryServiceName", f"{name!r} names no namespace ({hint})"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        # What looks like an address with a number too many is none of a host either.
        return bool(_HOST.fullmatch(text)) and not text.rpartition(".")[2].isdecimal()
    return True
