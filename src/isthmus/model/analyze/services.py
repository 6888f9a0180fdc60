"""Services of the mesh: that hosts and addresses mean one of them, and ports say what is spoken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.core.service import ServicePort
from isthmus.model.analyze.subject import SYSTEM_NAMESPACES, Subject, finding_in, finding_of
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import NO_CLUSTER, ClusterId, Hostname, kubernetes_hostname
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Protocol, Service
from isthmus.model.visibility import EVERYWHERE


def hosts_are_theirs(subject: Subject) -> Iterator[Finding]:
    """No two services that everybody sees have one host."""
    by_host: dict[Hostname, list[Service]] = defaultdict(list)
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        if not service.export_to or EVERYWHERE in service.export_to:
            by_host[key.hostname].append(service)
    for host, claims in by_host.items():
        first, *others = sorted(claims, key=lambda each: (bool(each.entry), each.created, each.key.namespace))
        for each in others:
            message = (
                f"{host} is a service of namespace {first.key.namespace} as well, which other namespaces are told "
                "of (hint: exportTo, or one ServiceEntry for both)"
            )
            path = "$.spec.hosts" if each.entry else "$.spec"
            yield finding_of(each, path, message, Code.HOST_TAKEN)


def addresses_are_theirs(subject: Subject) -> Iterator[Finding]:
    """No two services for plain connections have one address and port, as seen from some cluster."""
    clusters = sorted({cluster for each in subject.mesh.services.values() for cluster in each.clusters})
    told: set[tuple[str, str]] = set()
    for cluster in clusters or [NO_CLUSTER]:
        first: dict[tuple[str, int], Service] = {}
        for service in sorted(subject.mesh.services.values(), key=lambda each: _nearness(each, cluster)):
            for address, port in _plain(service, cluster):
                holder = first.setdefault((address, port), service)
                pair = (holder.key.hostname, service.key.hostname)
                if holder is not service and pair not in told:
                    told.add(pair)
                    message = (
                        f"{address}:{port} is {holder.key.hostname} to pods of cluster "
                        f'"{cluster}", so that they cannot connect to this one (hint: another address, or a protocol '
                        "that says the host)"
                    )
                    yield finding_of(service, "$.spec", message, Code.ADDRESS_TAKEN)


def ports_say_protocols(subject: Subject) -> Iterator[Finding]:
    """Each port of a Service says what is spoken there."""
    for cluster, service, at, port in _ports_of_users(subject):
        if service.spec.type == "ExternalName":
            continue
        if not port.is_carried:
            message = (
                f"port {port.port} is for {port.protocol}: that goes past the mesh, and no rule holds for it"
            )
            yield finding_in(cluster, service, f"{at}.protocol", message, Code.NO_EFFECT)
        elif protocol_of(port) is Protocol.UNSPECIFIED:
            called = f"{port.name!r}" if port.name else "without a name"
            message = (
                f"port {port.port} is {called}: what is spoken there is found out for each connection "
                "(hint: appProtocol, or a name such as http-web or tcp-db)"
            )
            yield finding_in(cluster, service, at, message, Code.PORT_NAME)


def external_names_take_requests(subject: Subject) -> Iterator[Finding]:
    """No port of an ExternalName Service is for plain connections: it has no address to tell them by."""
    for cluster, service, at, port in _ports_of_users(subject):
        if service.spec.type != "ExternalName" or _is_alias(subject, service):
            continue
        protocol = protocol_of(port)
        if not protocol.is_http and protocol not in {Protocol.TLS, Protocol.HTTPS, Protocol.UDP}:
            message = (
                f"port {port.port} is for plain connections, and the service has no address: all connections "
                "to that port go there (hint: name the port http… or tls…)"
            )
            yield finding_in(cluster, service, at, message, Code.EXTERNAL_NAME_PORT)


def callers_stay(subject: Subject) -> Iterator[Finding]:
    """No Service says for how long a caller stays at one endpoint: it does while the endpoints are the same."""
    for cluster, service in _of_users(subject):
        said = service.spec.session_affinity_config
        limit_s = said.client_ip.timeout_seconds if said is not None and said.client_ip is not None else None
        if service.spec.session_affinity == "ClientIP" and limit_s not in {None, _USUAL_STAY_S}:
            message = (
                f"has no effect: callers stay at one endpoint as long as the endpoints are the same, not for {limit_s} "
                "s (hint: a DestinationRule's httpCookie has a ttl)"
            )
            at = "$.spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield finding_in(cluster, service, at, message, Code.NO_EFFECT)


_USUAL_STAY_S = 10_800  # Source: Kubernetes' Service reference; API servers write it where nothing is said


def _is_alias(subject: Subject, found: ServiceObject) -> bool:
    host = kubernetes_hostname(found.metadata.name, found.metadata.namespace, subject.domain)
    service = subject.services_by_host.get(host)
    return service is not None and bool(service.alias_of)


def _of_users(subject: Subject) -> Iterator[tuple[ClusterId, ServiceObject]]:
    for cluster, service in subject.everywhere(ServiceObject):
        if service.metadata.namespace not in {*SYSTEM_NAMESPACES, subject.root}:
            yield cluster, service


def _ports_of_users(subject: Subject) -> Iterator[tuple[ClusterId, ServiceObject, str, ServicePort]]:
    for cluster, service in _of_users(subject):
        for index, port in enumerate(service.spec.ports):
            yield cluster, service, f"$.spec.ports[{index}]", port


def _nearness(service: Service, cluster: ClusterId) -> tuple[bool, str, str]:
    return cluster not in service.clusters, service.created, service.key.hostname


def _plain(service: Service, cluster: ClusterId) -> Iterator[tuple[str, int]]:
    for address in service.addresses(cluster):
        for port in service.ports:
            if not port.protocol.is_http and port.protocol is not Protocol.UDP:
                yield address, port.number
