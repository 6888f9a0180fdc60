"""What a lab is made of: clusters, their addresses and places, and the line between them. `lab.yaml`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec
import yaml

ApiServerKind = Literal["embedded", "kube"]
"""Whose API server, controllers and store a cluster has: the lab's own, or upstream's programs."""
_FEWEST = 64  # the first addresses of a range have their uses


class SpecError(ValueError):
    """The description of the lab is wrong: says where."""


class SecondFamily(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a cluster of both families has of the one that is not its first."""

    pod_cidr: str = msgspec.field(name="podCIDR")
    service_cidr: str = msgspec.field(name="serviceCIDR")
    node_address: str
    api_address: str


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One cluster with its one node."""

    name: str
    pod_cidr: str = msgspec.field(name="podCIDR")
    service_cidr: str = msgspec.field(name="serviceCIDR")
    node: str
    node_address: str
    api_address: str  # of the API server, outside the ranges of pods and services
    region: str = ""
    zone: str = ""
    network: str = ""  # clusters of one network are joined by a VPN; of several, by the internet alone
    public_address: str = ""  # by which the internet knows the cluster
    api_server: ApiServerKind = "embedded"
    programs: str = ""  # the folder of upstream's; empty: where this machine has them
    second: SecondFamily | None = None

    @property
    def families(self) -> tuple[ClusterSpec | SecondFamily, ...]:
        """What it has of each family: addresses are of the first unless the other is asked for."""
        return (self, self.second) if self.second is not None else (self,)

    @property
    def balancer_address(self) -> str:
        """The address that Services of type LoadBalancer get."""
        return self.public_address or self.node_address

    @property
    def dns_address(self) -> str:
        """The tenth address of the service range, as is usual."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def api_service_address(self) -> str:
        """The first address of the service range: Service `kubernetes`."""
        return str(ipaddress.ip_network(self.service_cidr)[1])


def with_api_servers(spec: LabSpec, kind: ApiServerKind | None) -> LabSpec:
    """The lab with API servers of that kind in all clusters; None: as it is."""
    if kind is None:
        return spec
    clusters = tuple(msgspec.structs.replace(each, api_server=kind) for each in spec.clusters)
    return msgspec.structs.replace(spec, clusters=clusters)


def with_families(spec: LabSpec, *families: str) -> LabSpec:
    """The lab with clusters of `ipv4`, as they are, of `ipv6` alone, or of `both`; one word for all, or for each."""
    each = families * len(spec.clusters) if len(families) == 1 else families
    made: list[ClusterSpec] = []
    for number, (cluster, wanted) in enumerate(zip(spec.clusters, each, strict=True), 1):
        six = _six(number)
        if wanted == "ipv4":
            made.append(cluster)
        elif wanted == "both":
            made.append(msgspec.structs.replace(cluster, second=six))
        else:
            alone = {field: getattr(six, field) for field in six.__struct_fields__}
            public = f"2001:db8:{number:x}::1" if cluster.public_address else ""
            made.append(msgspec.structs.replace(cluster, **alone, public_address=public))
    return msgspec.structs.replace(spec, clusters=tuple(made))


def _six(number: int) -> SecondFamily:
    """IPv6 for the cluster of that number."""
    prefix = f"fd00:{number:x}"
    return SecondFamily(
        pod_cidr=f"{prefix}:1::/112",
        service_cidr=f"{prefix}:2::/112",
        node_address=f"{prefix}::2",
        api_address=f"{prefix}::100",
    )


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The line between the clusters, as it is at the start."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0


class LabSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A lab: its clusters, the line between all of them, and folders with more images."""

    clusters: tuple[ClusterSpec, ...]
    link: LinkSpec = LinkSpec()
    images: tuple[str, ...] = ()

    @property
    def is_separate(self) -> bool:
        """Whether each cluster is on a network of its own: no packet goes from pod to pod."""
        return len({each.network for each in self.clusters}) > 1


TALK = LabSpec(
    clusters=(
        ClusterSpec(
            name="gke",
            pod_cidr="10.124.0.0/16",
            service_cidr="10.125.0.0/16",
            node="gke-demo-pool-1",
            node_address="10.138.0.2",
            api_address="10.138.0.100",
            region="us-west1",
            zone="us-west1-a",
        ),
        ClusterSpec(
            name="onprem",
            pod_cidr="192.170.228.0/24",
            service_cidr="10.101.0.0/16",
            node="k8s-demo",
            node_address="172.16.0.2",
            api_address="172.16.0.100",
        ),
    )
)
"""The two clusters of the talk."""


def read_spec(path: Path) -> LabSpec:
    """The lab that a file describes. Raises `SpecError` with the path in it."""
    try:
        spec = msgspec.convert(yaml.load(path.read_text(), Loader=yaml.CSafeLoader), LabSpec)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise SpecError(f"{path}: {error}") from error
    check(spec)
    return spec


def check(spec: LabSpec) -> None:
    """Raise `SpecError` where names repeat or ranges overlap."""
    names = [cluster.name for cluster in spec.clusters]
    if len(set(names)) != len(names) or not names:
        raise SpecError(
            f"$.clusters: every cluster needs a name of its own, not {', '.join(names) or 'none'}"
        )
    if spec.is_separate:
        _check_separate(spec)
    ranges = []
    for index, cluster in enumerate(spec.clusters):
        place = f"$.clusters[{index}]"
        versions: list[int] = []
        for part in cluster.families:
            at = place if part is cluster else f"{place}.second"
            for key, value in (("podCIDR", part.pod_cidr), ("serviceCIDR", part.service_cidr)):
                ranges.append((index, f"{at}.{key}", _range(value, f"{at}.{key}")))
                versions.append(ranges[-1][2].version)
            for key, value in (("nodeAddress", part.node_address), ("apiAddress", part.api_address)):
                versions.append(_address(value, f"{at}.{key}"))
        _check_families(place, versions)
    for number, (index, path, one) in enumerate(ranges):
        for other_index, other_path, other in ranges[:number]:
            apart = spec.is_separate and index != other_index
            if _overlap(one, other) and not apart:
                raise SpecError(f"{path}: {one} overlaps {other} of {other_path} (hint: one flat network)")


def _check_families(place: str, versions: list[int]) -> None:
    """The four of one family, and the four of the other if there are."""
    first, second = versions[:4], versions[4:]
    if len(set(first)) > 1 or len(set(second)) > 1 or set(first) == set(second):
        hint = "hint: one of IPv4 and one of IPv6, each with all four"
        raise SpecError(f"{place}: ranges and addresses are of mixed families ({hint})")


def _check_separate(spec: LabSpec) -> None:
    networks = [each.network for each in spec.clusters]
    if len(set(networks)) != len(networks):
        raise SpecError(
            "$.clusters: some share a network and others do not (hint: one for all, or each its own)"
        )
    for index, each in enumerate(spec.clusters):
        if not each.public_address:
            raise SpecError(
                f"$.clusters[{index}].publicAddress: is missing (hint: networks meet by it alone)"
            )
        place = f"$.clusters[{index}]"
        public = _address(each.public_address, f"{place}.publicAddress")
        inside = {_address(one.node_address, f"{place}.nodeAddress") for one in (each, spec.clusters[0])}
        if each.second or inside != {public}:
            raise SpecError(
                f"{place}: over the internet of the lab all clusters and public addresses are of one family "
                "(hint: IPv4 or IPv6, without second; or one flat network)"
            )


_Range = ipaddress.IPv4Network | ipaddress.IPv6Network


def _overlap(one: _Range, other: _Range) -> bool:
    ends = [(int(each.network_address), int(each.broadcast_address)) for each in (one, other)]
    return one.version == other.version and ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1]


def _range(text: str, path: str) -> _Range:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise SpecError(f"{path}: {error} (hint: a range is written as 10.124.0.0/16)") from error
    if found.num_addresses < _FEWEST:
        raise SpecError(f"{path}: {found} has fewer than {_FEWEST} addresses")
    return found


def _address(text: str, path: str) -> int:
    """The version of the address."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError as error:
        raise SpecError(f"{path}: {error}") from error
