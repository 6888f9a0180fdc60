"""One service out of the Service objects of several clusters. What they disagree on is decided and said (ADR 0009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.resource import Ref
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.given import takes_address
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.model.service_traffic import accounts_of, distribution_of


class Member(NamedTuple):
    """A service as one cluster has it."""

    cluster: ClusterId
    object: ServiceObject


class Merged(NamedTuple):
    """The service, and where its members disagree."""

    service: Service
    findings: tuple[Finding, ...]


def merge(key: ServiceKey, members: Sequence[Member]) -> Merged:
    """The service that `members` make, the earlier of them counting more; at least one is needed."""
    ports, findings = _ports(members)
    resolution, wrong = _resolution(members)
    created = min(member.object.metadata.creation_timestamp or "" for member in members)
    service = Service(
        key=key,
        ports=ports,
        resolution=resolution,
        vips=tuple(sorted((member.cluster, vips) for member in members if (vips := _vips(member.object)))),
        clusters=tuple(sorted(member.cluster for member in members)),
        external_name=members[0].object.spec.external_name if resolution is Resolution.DNS else "",
        created=created,
        export_to=_export_to(members[0].object),
        takes_address=takes_address(members[0].object),
        distribution=distribution_of(members[0].object),
        node_only=members[0].object.spec.internal_traffic_policy == "Local",
        sticky=resolution is Resolution.ENDPOINTS and members[0].object.spec.session_affinity == "ClientIP",
        accounts=tuple(sorted({each for member in members for each in accounts_of(member.object)})),
    )
    return Merged(service, tuple(findings + wrong))


_EXPORT_TO = "networking.istio.io/exportTo"


def _export_to(service: ServiceObject) -> tuple[str, ...]:
    """The namespaces to which the annotation shows the service. Source: Istio's annotations reference."""
    said = service.metadata.annotations.get(_EXPORT_TO, "")
    return tuple(sorted({name.strip() for name in said.split(",")} - {""}))


def _ports(members: Sequence[Member]) -> tuple[tuple[Port, ...], list[Finding]]:
    ports: dict[tuple[int, bool], tuple[Port, ClusterId]] = {}
    findings = []
    for member in members:
        for index, port in enumerate(member.object.spec.ports):
            if not port.is_carried:
                continue
            protocol = protocol_of(port)
            here = Port(port.port, port.name, protocol)
            # UDP and TCP may share a number: they are two ports.
            first, cluster = ports.setdefault((port.port, protocol is Protocol.UDP), (here, member.cluster))
            if first.protocol is not protocol:
                message = (
                    f"port {port.port} speaks {protocol.value} here and {first.protocol.value} in cluster "
                    f'"{cluster}", which counts (hint: give the port one name in all clusters)'
                )
                findings.append(_finding(member, f"$.spec.ports[{index}]", message))
            elif first.name != port.name:
                message = (
                    f'port {port.port} is called {port.name!r} here and {first.name!r} in cluster "{cluster}"'
                )
                findings.append(_finding(member, f"$.spec.ports[{index}].name", message, Severity.INFO))
    for member in members[1:]:
        missing = sorted(_numbers(members[0]) - _numbers(member))
        extra = sorted(_numbers(member) - _numbers(members[0]))
        if missing or extra:
            findings.append(_finding(member, "$.spec.ports", _difference(members[0], missing, extra)))
    named = _apart({key: port for key, (port, _) in ports.items()})
    return tuple(port for _, port in sorted(named.items())), findings


def _apart(ports: dict[tuple[int, bool], Port]) -> dict[tuple[int, bool], Port]:
    """`ports` under names that differ: endpoints give their number by it. The first keeps its own.

    Within a cluster names differ anyway, but one may call 80 `http` and another 81.
    """
    taken: set[str] = set()
    named = {}
    for key, port in ports.items():
        name = port.name if port.name not in taken else f"{port.name or 'port'}-{port.number}"
        while name in taken:
            name += "-other"
        taken.add(name)
        named[key] = Port(port.number, name, port.protocol)
    return named


def _difference(first: Member, missing: list[int], extra: list[int]) -> str:
    parts = []
    if missing:
        parts.append(f"lacks port {', '.join(map(str, missing))}")
    if extra:
        parts.append(f"adds port {', '.join(map(str, extra))}")
    return f'{" and ".join(parts)}, compared with cluster "{first.cluster}"; the service has the ports of all'


def _numbers(member: Member) -> set[int]:
    return {port.port for port in member.object.spec.ports if port.is_carried}


def _resolution(members: Sequence[Member]) -> tuple[Resolution, list[Finding]]:
    first = _resolution_of(members[0].object)
    findings = []
    for member in members[1:]:
        here = _resolution_of(member.object)
        if here is not first:
            message = (
                f'is {_WORDS[here]} here and {_WORDS[first]} in cluster "{members[0].cluster}", which counts '
                "(hint: make it the same in all clusters)"
            )
            findings.append(_finding(member, "$.spec.clusterIP", message))
    return first, findings


_WORDS = {
    Resolution.ENDPOINTS: "a service with an address",
    Resolution.PASSTHROUGH: "headless",
    Resolution.DNS: "an external name",
}


def _resolution_of(service: ServiceObject) -> Resolution:
    if service.spec.type == "ExternalName":
        return Resolution.DNS
    return Resolution.PASSTHROUGH if service.spec.is_headless else Resolution.ENDPOINTS


def _vips(service: ServiceObject) -> tuple[str, ...]:
    addresses = service.spec.cluster_ips or (service.spec.cluster_ip,)
    return tuple(address for address in addresses if address and address != "None")


def _finding(member: Member, path: str, message: str, severity: Severity = Severity.WARNING) -> Finding:
    meta = member.object.metadata
    ref = Ref("Service", meta.namespace, meta.name)
    return Finding(
        ref=ref,
        path=path,
        message=message,
        cluster=member.cluster,
        severity=severity,
        code=Code.CLUSTERS_DIFFER,
    )
