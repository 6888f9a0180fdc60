"""ServiceEntry and WorkloadEntry → services and endpoints. Source: Istio's references of the two kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.workload_entry import WorkloadEntry, WorkloadEntrySpec
from isthmus.model.endpoint import Endpoint, Locality
from isthmus.model.given import takes_address
from isthmus.model.identity import SpiffeId
from isthmus.model.names import NO_CLUSTER, NetworkId, ServiceKey
from isthmus.model.network_gateways import NETWORK_LABEL
from isthmus.model.protocol import protocol_named, protocol_of
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.model.shards import TLS_LABEL, Place, pod_endpoint

_RESOLUTIONS = {
    "NONE": Resolution.NONE,
    "STATIC": Resolution.ENDPOINTS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
    "DYNAMIC_DNS": Resolution.NONE,
}

Numbers = tuple[tuple[str, int], ...]
"""Numbers of ports by name of the service's port."""


def service_from(
    key: ServiceKey, entries: Sequence[ServiceEntry], workloads: Sequence[WorkloadEntry], trust_domain: str
) -> Service:
    """The service that `entries` of one host and namespace make, the oldest first; at least one is needed.

    Ports and addresses are those of all; of what else they say the oldest counts.
    """
    first, ports = entries[0], dict[tuple[int, bool], Port]()
    for entry in entries:
        for port in entry.spec.ports:
            protocol = protocol_named(port.protocol, port.number)
            # UDP and TCP may share a number: they are two ports.
            ports.setdefault((port.number, protocol is Protocol.UDP), Port(port.number, port.name, protocol))
    addresses = tuple(dict.fromkeys(each for entry in entries for each in entry.spec.addresses))
    resolution = _RESOLUTIONS[first.spec.resolution]
    named: tuple[Endpoint, ...] = ()
    if resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN}:
        named = tuple(endpoints_told(entries, workloads, trust_domain)) or tuple(_itself(key, entries))
    return Service(
        key=key,
        ports=tuple(ports[number] for number in sorted(ports)),
        takes_address=takes_address(first),
        resolution=resolution,
        vips=((NO_CLUSTER, addresses),) if addresses else (),
        created=first.metadata.creation_timestamp or "",
        entry=first.metadata.name,
        export_to=tuple(sorted(set(first.spec.export_to))),
        is_external=first.spec.location == "MESH_EXTERNAL",
        named=named,
        subject_alt_names=first.spec.subject_alt_names,
    )


def _itself(key: ServiceKey, entries: Sequence[ServiceEntry]) -> Iterator[Endpoint]:
    """Without endpoints, the host itself is asked for."""
    for entry in entries:
        if entry.spec.workload_selector is None:
            numbers = _numbers(entry, {})
            yield Endpoint(address=key.hostname.rstrip("."), ports=numbers, cluster=NO_CLUSTER)


def endpoints_told(
    entries: Iterable[ServiceEntry], workloads: Iterable[WorkloadEntry], trust_domain: str
) -> Iterator[Endpoint]:
    """The endpoints that ServiceEntries name, and the WorkloadEntries that they select."""
    held = tuple(workloads)
    for entry in entries:
        yield from endpoints_named(entry, trust_domain)
        for found in held:
            yield from endpoints_selected(entry, found, trust_domain)


def endpoints_named(entry: ServiceEntry, trust_domain: str) -> Iterator[Endpoint]:
    """The endpoints that a ServiceEntry names."""
    for spec in entry.spec.endpoints:
        numbers = _numbers(entry, spec.ports)
        yield workload_endpoint(spec, entry.metadata.name, entry.metadata.namespace, numbers, trust_domain)


def endpoints_selected(entry: ServiceEntry, found: WorkloadEntry, trust_domain: str) -> Iterator[Endpoint]:
    """The endpoint that a WorkloadEntry is, where the ServiceEntry selects it."""
    if selects(entry, labels_of(found)):
        numbers, spec = _numbers(entry, found.spec.ports), _with_all_labels(found)
        yield workload_endpoint(spec, found.metadata.name, entry.metadata.namespace, numbers, trust_domain)


def endpoints_of_pods(
    entries: Iterable[ServiceEntry], pods: Iterable[Pod], place: Place
) -> Iterator[Endpoint]:
    """The running pods that ServiceEntries select."""
    living = [pod for pod in pods if pod.status.phase == "Running" and pod.status.pod_ip]
    for entry in entries:
        for pod in living:
            if selects(entry, pod.metadata.labels) and pod.metadata.deletion_timestamp is None:
                found = pod_endpoint(pod.status.pod_ip, _numbers(entry, {}), pod, place)
                yield msgspec.structs.replace(found, also=pod.status.addresses[1:])


def endpoints_beside(
    service: Service, found: ServiceObject, workloads: Iterable[WorkloadEntry], trust_domain: str
) -> Iterator[Endpoint]:
    """The WorkloadEntries that a Kubernetes Service selects, as it selects pods."""
    if not found.spec.selector:
        return
    wanted = found.spec.selector.items()
    own = {(port.port, protocol_of(port) is Protocol.UDP): port for port in found.spec.ports}
    for each in workloads:
        if not wanted <= labels_of(each).items():
            continue
        numbers = {}
        for port in service.ports:
            here = own.get((port.number, port.protocol is Protocol.UDP))
            target = here.target_port if here is not None else None
            said = each.spec.ports.get(port.name) or each.spec.ports.get(str(target))
            numbers[port.name] = said or (target if isinstance(target, int) and target else port.number)
        namespace = found.metadata.namespace
        ports = tuple(sorted(numbers.items()))
        yield workload_endpoint(_with_all_labels(each), each.metadata.name, namespace, ports, trust_domain)


def workload_endpoint(
    spec: WorkloadEntrySpec, name: str, namespace: str, ports: Numbers, trust_domain: str
) -> Endpoint:
    """The endpoint that a workload is. It takes mutual TLS where its label says so, as pods do."""
    account = spec.service_account
    return Endpoint(
        address=spec.address,
        ports=ports,
        cluster=NO_CLUSTER,
        labels=tuple(sorted(spec.labels.items())),
        identity=SpiffeId(trust_domain, namespace, account) if account else None,
        locality=Locality(*spec.locality.split("/")[:3]) if spec.locality else Locality(),
        network=NetworkId(spec.network or spec.labels.get(NETWORK_LABEL, "")),
        tls=spec.labels.get(TLS_LABEL) == "istio",
        workload=name,
        namespace=namespace,
        weight=spec.weight or 1,
    )


def selects(entry: ServiceEntry, labels: Mapping[str, str]) -> bool:
    """Whether the ServiceEntry's selector finds a workload with these labels."""
    selector = entry.spec.workload_selector
    return selector is not None and bool(selector.labels) and selector.labels.items() <= labels.items()


def labels_of(found: WorkloadEntry) -> dict[str, str]:
    """By which labels a WorkloadEntry is selected: its object's, and before them those it names."""
    return found.metadata.labels | found.spec.labels


def _with_all_labels(found: WorkloadEntry) -> WorkloadEntrySpec:
    return msgspec.structs.replace(found.spec, labels=labels_of(found))


def _numbers(entry: ServiceEntry, own: Mapping[str, int]) -> Numbers:
    """Where a workload serves each port: as it says, else as the port says."""
    ports = entry.spec.ports
    return tuple(sorted((port.name, own.get(port.name) or port.target_port or port.number) for port in ports))
