"""A proxy: an Envoy that is connected to us."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address

import msgspec

from isthmus.model.endpoint import Locality
from isthmus.model.families import BOTH, Families
from isthmus.model.interception import METADATA, TPROXY
from isthmus.model.names import ClusterId, NetworkId


class ProxyKind(Enum):
    """What a proxy stands beside or before."""

    SIDECAR = "sidecar"
    ROUTER = "router"  # a gateway


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """All of a proxy that may change what it is sent: equal proxies are sent the same."""

    kind: ProxyKind
    address: str
    name: str
    namespace: str
    cluster: ClusterId
    network: NetworkId = NetworkId("")
    labels: tuple[tuple[str, str], ...] = ()  # sorted
    locality: Locality = Locality()
    service_account: str = ""
    domain: str = "cluster.local"
    version: str = ""  # of the mesh that its agent belongs to; empty where it says none
    proven: bool = False  # whether its certificate says who it is, and the mesh knows it as that
    node: str = ""  # on which it runs
    metadata: tuple[tuple[str, str], ...] = ()  # what else it says of itself in plain values, sorted
    config: str = ""  # what its pod's `proxy.istio.io/config` says, as JSON

    def has_labels(self, wanted: dict[str, str]) -> bool:
        return wanted.items() <= dict(self.labels).items()

    @property
    def network_view(self) -> tuple[NetworkId, ...]:
        """The networks whose endpoints it wants to see, as gateways of Istio's charts say; empty: all."""
        said = dict(self.metadata).get("REQUESTED_NETWORK_VIEW", "")
        return tuple(NetworkId(each.strip()) for each in said.split(",") if each.strip())

    @property
    def knows_itself(self) -> bool:
        """Whether it asks for those with which it shares its calls, as zone aware routing needs them."""
        return dict(self.metadata).get("ENABLE_SELF_DISCOVERY", "").lower() == "true"

    @property
    def keeps_source(self) -> bool:
        """Whether traffic comes to it with its callers' addresses, from which it calls the application."""
        return (METADATA, TPROXY) in self.metadata

    @property
    def families(self) -> Families:
        """The versions of IP that it has addresses of, sorted; both where it says none that can be read."""
        return _families(self.address, dict(self.metadata).get("INSTANCE_IPS", ""))


def proxy_from_node(node_id: str, metadata: dict[str, object], locality: Locality) -> Proxy:
    """The proxy that an Envoy node describes.

    `node_id` is Istio's `<kind>~<address>~<name>.<namespace>~<namespace>.svc.<domain>`; the cluster is
    never guessed from the address. Raises `ValueError` where a part is missing.
    """
    parts = node_id.split("~")
    if len(parts) != 4 or not all(parts):
        raise ValueError(f"node id {node_id!r} has not the form kind~address~name.namespace~domain")
    kind, address, name_and_namespace, dns_domain = parts
    cluster = metadata.get("CLUSTER_ID")
    if not isinstance(cluster, str) or not cluster:
        raise ValueError(f"node {node_id!r} says no CLUSTER_ID (hint: set ISTIO_META_CLUSTER_ID)")
    name, _, namespace = name_and_namespace.rpartition(".")
    labels = metadata.get("LABELS")
    return Proxy(
        kind=ProxyKind(kind),
        address=address,
        name=name,
        namespace=namespace,
        cluster=ClusterId(cluster),
        network=NetworkId(str(metadata.get("NETWORK", ""))),
        labels=tuple(sorted((str(k), str(v)) for k, v in labels.items())) if isinstance(labels, dict) else (),
        locality=locality,
        service_account=str(metadata.get("SERVICE_ACCOUNT", "")),
        domain=dns_domain.partition(".svc.")[2] or "cluster.local",
        node=str(metadata.get("NODE_NAME") or ""),
        version=str(metadata.get("ISTIO_VERSION") or ""),
        metadata=tuple(sorted(_plain(metadata))),
        config=_config(metadata.get("PROXY_CONFIG")),
    )


@lru_cache(maxsize=65_536)
def _families(address: str, said: str) -> Families:
    """Of an address and a list of others; it is asked for each proxy at each step."""
    found = {version for each in (address, *said.split(",")) if (version := _version(each))}
    return tuple(sorted(found)) or BOTH


def _version(address: str) -> int:
    try:
        return ip_address(address.strip()).version
    except ValueError:
        return 0


def _config(found: object) -> str:
    return msgspec.json.encode(found, order="sorted").decode() if isinstance(found, dict) and found else ""


def _plain(metadata: dict[str, object]) -> Iterator[tuple[str, str]]:
    """The values that have no parts, as text."""
    for key, value in metadata.items():
        match value:
            case bool():
                yield key, str(value).lower()
            case float() if value.is_integer():
                yield key, str(int(value))
            case str() | int() | float():
                yield key, str(value)
