"""Where VirtualServices lead: to services, subsets and ports that there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.analyze.subject import Subject, destinations_in, finding
from isthmus.model.codes import Code, Severity
from isthmus.model.findings import Finding
from isthmus.model.names import Hostname, host_matches, resolve
from isthmus.model.rules import MESH
from isthmus.model.service import Service


def exist(subject: Subject) -> Iterator[Finding]:
    """Each destination of a VirtualService is a service with that port and subset."""
    subsets = _Subsets(subject)
    for found in subject.of(VirtualService):
        for path, destination in destinations_in(found):
            host = resolve(destination.host, found.metadata.namespace, subject.domain)
            service = subject.service_of(host, found.metadata.namespace)
            if service is None and not subject.lacks(host):
                continue
            if service is None:
                meant = subject.like(host)
                hint = f"did you mean {meant}?" if meant else "check the namespace"
                message = f"no service is called {host} (hint: {hint})"
                yield finding(found, f"{path}.host", message, Code.NOT_FOUND)
                continue
            yield from _port_exists(found, path, destination, service)
            host = service.key.hostname if host in subject.services_by_host else host
            if destination.subset and not subsets.may_have(found, host, destination.subset):
                message = (
                    f"{host} has no subset {destination.subset!r} (hint: define it in a DestinationRule)"
                )
                yield finding(found, f"{path}.subset", message, Code.NOT_FOUND)


def say_their_port(subject: Subject) -> Iterator[Finding]:
    """Each destination that has several ports says which is meant, unless the port that is called says it."""
    for found in subject.of(VirtualService):
        called = _called_ports(subject, found)
        for path, destination in destinations_in(found):
            if destination.port is not None and destination.port.number:
                continue
            service = subject.service(destination.host, found.metadata.namespace)
            if service is None or len(service.ports) < 2:
                continue
            has = {port.number for port in service.ports}
            missing = sorted(called - has)
            if missing:
                message = (
                    f"{service.key.hostname} has the ports {_listed(has)}, and none of the number that is called: "
                    f"{_listed(missing)} (hint: port: {{number: {min(has)}}})"
                )
                yield finding(found, path, message, Code.PORT_REQUIRED)
            elif not called:
                message = (
                    f"{service.key.hostname} has the ports {_listed(has)} (hint: say which by port.number)"
                )
                yield finding(found, path, message, Code.PORT_REQUIRED, Severity.INFO)


def _called_ports(subject: Subject, found: VirtualService) -> set[int]:
    """The ports on which requests come that a VirtualService routes: of its hosts, and of its Gateways."""
    numbers: set[int] = set()
    spec, namespace = found.spec, found.metadata.namespace
    for name in spec.gateways or (MESH,):
        if name == MESH:
            hosts = (subject.service(host, namespace) for host in spec.hosts)
            numbers |= {port.number for host in hosts if host is not None for port in host.ports}
        else:
            where, slash, short = name.rpartition("/")
            gateway = subject.gateways.get((where if slash else namespace, short))
            servers = gateway.spec.servers if gateway is not None else ()
            numbers |= {server.port.number for server in servers}
    return numbers


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _port_exists(
    found: VirtualService, path: str, destination: Destination, service: Service
) -> Iterator[Finding]:
    number = destination.port.number if destination.port is not None else 0
    if number and service.port(number) is None:
        has = ", ".join(str(port.number) for port in service.ports)
        message = f"{service.key.hostname} has no port {number} (hint: it has {has})"
        yield finding(found, f"{path}.port.number", message, Code.NOT_FOUND)


class _Subsets:
    """The names of subsets by host."""

    def __init__(self, subject: Subject) -> None:
        refused = (ref.namespace for ref in subject.refused if ref.kind == "DestinationRule")
        self._unread_in = frozenset(refused)
        self._exact: dict[Hostname, set[str]] = {}
        self._wild: dict[Hostname, set[str]] = {}
        for rule in subject.of(DestinationRule):
            host = resolve(rule.spec.host, rule.metadata.namespace, subject.domain)
            held = self._wild if host.startswith("*") else self._exact
            held.setdefault(host, set()).update(subset.name for subset in rule.spec.subsets)

    def may_have(self, by: VirtualService, host: Hostname, name: str) -> bool:
        """Whether a rule defines it, or is refused where that of `by` would be looked for."""
        if by.metadata.namespace in self._unread_in:
            return True
        if name in self._exact.get(host, ()):
            return True
        return any(name in found and host_matches(pattern, host) for pattern, found in self._wild.items())
