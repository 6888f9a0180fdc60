"""Datagrams: that rules which are meant for them hold for them, and they travel in mutual TLS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.core.pod import Pod
from isthmus.api.istio.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.analyze.pods import is_of_users
from isthmus.model.analyze.subject import Subject, destinations_in, finding, finding_in, finding_of
from isthmus.model.codes import Code, Severity
from isthmus.model.endpoint import Endpoint
from isthmus.model.findings import Finding
from isthmus.model.given import ALL_DOORS, doors_bound, with_doors
from isthmus.model.names import host_matches, resolve
from isthmus.model.service import Protocol, Resolution, Service
from isthmus.model.shards import has_sidecar

_MOST_NAMED = 3


def connections_are_led_elsewhere(subject: Subject) -> Iterator[Finding]:
    """No VirtualService is for a port that takes datagrams alone, or leads there: it is for connections."""
    for rule in subject.of(VirtualService):
        namespace = rule.metadata.namespace
        called = [(host, subject.service(host, namespace)) for host in rule.spec.hosts]
        for index, (host, service) in enumerate(called):
            if service is not None and takes_nothing_else(service):
                message = f"{host} takes datagrams alone, for which no VirtualService holds"
                yield finding(rule, f"$.spec.hosts[{index}]", message, Code.NOT_FOR_DATAGRAMS)
        services = [service for _, service in called if service is not None]
        yield from _matches(rule, services)
        for path, destination in destinations_in(rule):
            found = subject.service(destination.host, namespace)
            number = destination.port.number if destination.port is not None else 0
            if found is not None and takes_nothing_else(found, number):
                at = f"port {number} of {found.key.hostname}" if number else found.key.hostname
                message = f"{at} takes datagrams alone: connections that are led there end"
                yield finding(rule, path, message, Code.NOT_FOR_DATAGRAMS)


def _matches(rule: VirtualService, services: list[Service]) -> Iterator[Finding]:
    for number, route in enumerate(rule.spec.tcp):
        for index, match in enumerate(route.match):
            port = match.port
            here = [each for each in services if port and each.port(port) is not None]
            if here and all(takes_nothing_else(each, port) for each in here):
                message = f"port {port} takes datagrams alone, for which no VirtualService holds"
                at = f"$.spec.tcp[{number}].match[{index}].port"
                yield finding(rule, at, message, Code.NOT_FOR_DATAGRAMS)


def policies_hold_for_them(subject: Subject) -> Iterator[Finding]:
    """No DestinationRule says of a port for datagrams what holds for connections alone."""
    for rule in subject.of(DestinationRule):
        service = subject.service(rule.spec.host, rule.metadata.namespace)
        if service is None or not service.udp_ports:
            continue
        for path, what in _in_vain(rule, service):
            yield finding(rule, path, what, Code.NOT_FOR_DATAGRAMS)


def _in_vain(rule: DestinationRule, service: Service) -> Iterator[tuple[str, str]]:
    """Where a rule says what does not hold for datagrams, and that it does not."""
    no_subset = "no subset is made of datagrams, which go to all endpoints (hint: a Service of its own)"
    for index, subset in enumerate(rule.spec.subsets):
        at = f"$.spec.subsets[{index}]"
        if takes_nothing_else(service):
            yield at, no_subset
        elif subset.traffic_policy is not None:
            for own, port in _of_ports(subset.traffic_policy, service):
                yield f"{at}.trafficPolicy.{own}", f"{port}: {no_subset}"
    policy = rule.spec.traffic_policy
    if policy is None:
        return
    if takes_nothing_else(service):
        yield from _balancing("$.spec.trafficPolicy", policy)
        for name, part in (("tunnel", policy.tunnel), ("proxyProtocol", policy.proxy_protocol)):
            if part is not None:
                yield f"$.spec.trafficPolicy.{name}", "is for connections, and this service has none"
    for number, port_policy in enumerate(policy.port_level_settings):
        if port_policy.port and takes_nothing_else(service, port_policy.port.number):
            yield from _balancing(f"$.spec.trafficPolicy.portLevelSettings[{number}]", port_policy)


def _of_ports(policy: TrafficPolicy, service: Service) -> Iterator[tuple[str, str]]:
    for number, own in enumerate(policy.port_level_settings):
        if own.port and takes_nothing_else(service, own.port.number):
            yield f"portLevelSettings[{number}]", f"port {own.port.number} takes datagrams alone"


def _balancing(at: str, policy: TrafficPolicy | PortTrafficPolicy) -> Iterator[tuple[str, str]]:
    asked = policy.load_balancer
    if asked is None:
        return
    if asked.simple == "PASSTHROUGH":
        message = "of a datagram nobody knows whom it was for: an endpoint is chosen as without this"
        yield f"{at}.loadBalancer.simple", message
    if asked.consistent_hash is not None and not asked.consistent_hash.use_source_ip:
        message = "a datagram has nothing to hash but where it is from (hint: useSourceIp: true)"
        yield f"{at}.loadBalancer.consistentHash", message


def sidecars_are_everywhere(subject: Subject) -> Iterator[Finding]:
    """No service for datagrams has endpoints with sidecars and others without, where no rule says which are called."""
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        if service.resolution is not Resolution.ENDPOINTS or service.is_external or not service.udp_ports:
            continue
        endpoints = [each for shard in subject.mesh.shards.get(key, {}).values() for each in shard.endpoints]
        bare = [each for each in endpoints if not each.tls]
        if not bare or len(bare) == len(endpoints):
            continue
        ports = [port.number for port in service.udp_ports if not _is_settled(subject, service, port.number)]
        if ports:
            message = (
                f"datagrams to {_listed(map(str, ports), 'port', 'ports')} go as they are, to all endpoints, since "
                f"{_listed(map(_name, bare), 'pod', 'pods')} {'has' if len(bare) == 1 else 'have'} no sidecar "
                "(hint: sidecars for all, or a DestinationRule with tls: {mode: ISTIO_MUTUAL}, which calls those with "
                "one only)"
            )
            yield finding_of(service, "$.spec.ports", message, Code.DATAGRAMS_READABLE)


def _is_settled(subject: Subject, service: Service, port: int) -> bool:
    """Whether some DestinationRule says in which form datagrams go to the port."""
    host = service.key.hostname
    for rule in subject.of(DestinationRule):
        said = resolve(rule.spec.host, rule.metadata.namespace, subject.domain)
        policy = rule.spec.traffic_policy
        if policy is None or not (said == host or host_matches(said, host)):
            continue
        own = (each for each in policy.port_level_settings if each.port and each.port.number == port)
        if next(own, policy).tls is not None:
            return True
    return False


def services_have_doors(subject: Subject) -> Iterator[Finding]:
    """Each port whose datagrams proxies could take has a door, of which there are only so many."""
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        without = sorted(set(with_doors(service)) - {number for number, _ in service.doors})
        if without:
            message = (
                f"datagrams to {_listed(map(str, without), 'port', 'ports')} pass Envoy by, since older services have "
                f"taken the {len(ALL_DOORS)} ports of loopback that there are for it (hint: fewer ports for datagrams)"
            )
            yield finding_of(service, "$.spec.ports", message, Code.DATAGRAMS_PASS)


def addresses_are_taken(subject: Subject) -> Iterator[Finding]:
    """Each address of a service is one to which proxies can take datagrams: a single one."""
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        if not service.doors or not is_of_users(key.namespace, subject.root):
            continue
        addresses = sorted({each for _, several in service.vips for each in several})
        passing = [each for each in addresses if "/" in each]
        if passing:
            message = (
                f"datagrams to {_listed(passing, 'address', 'addresses')} pass Envoy by, which takes those to single "
                "addresses alone (hint: name each, or none: then one is given)"
            )
            path = "$.spec.addresses" if service.entry else "$.spec.clusterIPs"
            yield finding_of(service, path, message, Code.DATAGRAMS_PASS)


def endpoints_are_chosen(subject: Subject) -> Iterator[Finding]:
    """Datagrams of each service go to an endpoint that Envoy chooses, not to the one whose address was asked for."""
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        why = _LEFT_ALONE.get(service.resolution)
        if why and service.udp_ports and is_of_users(key.namespace, subject.root):
            ports = _listed((str(port.number) for port in service.udp_ports), "port", "ports")
            message = f"datagrams to {ports} pass Envoy by, in no mutual TLS, since {why}"
            yield finding_of(service, "$.spec.ports", message, Code.DATAGRAMS_PASS, Severity.INFO)


_LEFT_ALONE = {
    Resolution.PASSTHROUGH: "it is called at the addresses of its pods (hint: beside it a Service with an address)",
    Resolution.NONE: "it is called at any address (hint: resolution STATIC, with endpoints)",
}


def doors_are_free(subject: Subject) -> Iterator[Finding]:
    """No pod with a sidecar binds a port at which its Envoy would take the datagrams to a service."""
    doors: dict[int, str] = {}
    for key, service in subject.mesh.services.items():
        doors |= {door: f"port {number} of {key.hostname}" for number, door in service.doors}
    for cluster, pod in subject.everywhere(Pod):
        for door in doors_bound(pod.spec) if has_sidecar(pod) or pod.spec.has_proxy else ():
            if door in doors:
                message = (
                    f"takes UDP {door}, where Envoy would take the datagrams to {doors[door]}: this pod's pass Envoy "
                    f"by (hint: a containerPort outside {ALL_DOORS[0]} to {ALL_DOORS[-1]})"
                )
                yield finding_in(cluster, pod, "$.spec.containers", message, Code.DATAGRAMS_PASS)


def takes_nothing_else(service: Service, port: int = 0) -> bool:
    """Whether the port, or without one the whole service, is for datagrams and nothing else."""
    here = [each for each in service.ports if port in {0, each.number}]
    return bool(here) and all(each.protocol is Protocol.UDP for each in here)


def _name(endpoint: Endpoint) -> str:
    where = f"{endpoint.namespace}/{endpoint.workload}" if endpoint.workload else endpoint.address
    return f'{where} of cluster "{endpoint.cluster}"' if endpoint.cluster else where


def _listed(found: Iterable[str], one: str, several: str) -> str:
    names = list(found)
    told = ", ".join(names[:_MOST_NAMED])
    rest = f" and {len(names) - _MOST_NAMED} others" if len(names) > _MOST_NAMED else ""
    return f"{one if len(names) == 1 else several} {told}{rest}"
