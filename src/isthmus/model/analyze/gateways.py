"""Gateways: that proxies run them, that somebody reaches these, and that no two are for the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isthmus.api.istio.gateway import GatewayConfig, Server
from isthmus.api.istio.gateway_problems import ENCRYPTED, PLAIN_HTTP
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code, Severity
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.rules import age
from isthmus.model.visibility import HERE
from isthmus.model.workload import Workload


def have_proxies(subject: Subject) -> Iterator[Finding]:
    """Each Gateway selects some workload."""
    for found in subject.of(GatewayConfig):
        if not subject.finds(found.spec.selector):
            yield finding(found, "$.spec.selector", "selects no pod", Code.NO_WORKLOADS)


def are_reached(subject: Subject) -> Iterator[Finding]:
    """Each port that a Gateway opens is one to which some Service of its pods leads."""
    if not subject.objects or any(ref.kind == "Service" for ref in subject.refused):
        return
    for found in subject.of(GatewayConfig):
        workloads = subject.workloads.having(found.spec.selector)
        if not workloads or not found.spec.servers:
            continue
        numbers = _ports_led_to(subject, workloads)
        if not numbers:
            message = "no Service leads to its pods, so that nobody reaches them (hint: a Service that selects them)"
            yield finding(found, "$.spec.selector", message, Code.NOBODY_REACHES)
            continue
        for index, server in enumerate(found.spec.servers):
            if server.port.number not in numbers:
                has = ", ".join(map(str, sorted(numbers)))
                message = f"no Service of its pods has port {server.port.number} (hint: they have {has})"
                yield finding(found, f"$.spec.servers[{index}].port.number", message, Code.PORT_NOT_SERVED)


def _ports_led_to(subject: Subject, workloads: Sequence[Workload]) -> set[int]:
    """The ports, of Services and of pods, by which the workloads are reached."""
    numbers: set[int] = set()
    alike = {(each.cluster, each.namespace, each.labels) for each in workloads}
    for cluster, namespace, labels in alike:
        own = dict(labels).items()
        for service in subject.services_in.get((ClusterId(cluster), namespace), ()):
            if service.spec.selector and service.spec.selector.items() <= own:
                for port in service.spec.ports:
                    numbers.add(port.port)
                    numbers |= {port.target_port} if isinstance(port.target_port, int) else set()
    return numbers


class _Claim(NamedTuple):
    """A host on a port of some proxies."""

    found: GatewayConfig
    number: int
    server: Server
    hosts: tuple[str, ...]  # with their namespaces


def do_not_collide(subject: Subject) -> Iterator[Finding]:
    """No two Gateways open one port of the same proxies for the same host."""
    for claims in _by_port(subject).values():
        seen: dict[str, _Claim] = {}
        for claim in claims:
            first = _first(claim, seen)
            if first is not None:
                yield _collision(claim, first)
            for host in claim.hosts:
                seen.setdefault(host, claim)


def ports_have_one_protocol(subject: Subject) -> Iterator[Finding]:
    """No two servers speak on one port of the same proxies what cannot stand side by side there."""
    for claims in _by_port(subject).values():
        first = claims[0]
        for claim in claims:
            if _spoken(claim.server) != _spoken(first.server) and claim.server.bind == first.server.bind:
                meta, port = first.found.metadata, claim.server.port
                message = (
                    f"port {port.number} speaks {first.server.port.protocol} in Gateway {meta.namespace}/{meta.name}, "
                    f"and cannot speak {port.protocol} as well (hint: another port)"
                )
                yield finding(
                    claim.found, f"$.spec.servers[{claim.number}].port.protocol", message, Code.SAME_SERVERS
                )


def _spoken(server: Server) -> str:
    protocol = server.port.protocol.upper()
    if protocol in PLAIN_HTTP:
        return "HTTP"
    return "TLS" if protocol in ENCRYPTED else "TCP"


def _collision(claim: _Claim, first: _Claim) -> Finding:
    meta = first.found.metadata
    encrypted = claim.server.port.protocol.upper() in ENCRYPTED
    becomes = "which is older and counts" if encrypted else "whose routes are served together with its own"
    message = (
        f"port {claim.server.port.number} is open for the same host in Gateway {meta.namespace}/{meta.name}, "
        f"{becomes} (hint: one Gateway for both, or other hosts)"
    )
    severity = Code.SAME_SERVERS.severity if encrypted else Severity.WARNING
    at = f"$.spec.servers[{claim.number}]"
    return finding(claim.found, at, message, Code.SAME_SERVERS, severity)


def _by_port(subject: Subject) -> dict[tuple[object, int], list[_Claim]]:
    claims: dict[tuple[object, int], list[_Claim]] = defaultdict(list)
    for found in sorted(subject.of(GatewayConfig), key=age):
        selector = tuple(sorted(found.spec.selector.items()))
        for index, server in enumerate(found.spec.servers):
            hosts = tuple(_in_full(host, found.metadata.namespace) for host in server.hosts)
            claims[selector, server.port.number].append(_Claim(found, index, server, hosts))
    return claims


def _in_full(host: str, own: str) -> str:
    namespace, slash, name = host.rpartition("/")
    where = (own if namespace == HERE else namespace) if slash else "*"
    return f"{where}/{name}"


def _first(claim: _Claim, seen: dict[str, _Claim]) -> _Claim | None:
    """An older claim of another Gateway for one of the hosts. A narrower host beside a wildcard is no collision."""
    holders = (seen.get(host) for host in claim.hosts)
    return next((each for each in holders if each is not None and each.found is not claim.found), None)


def certificates_are_theirs(subject: Subject) -> Iterator[Finding]:
    """No two Gateways of the same proxies give out one certificate for different hosts."""
    first: dict[tuple[object, str], tuple[GatewayConfig, Server]] = {}
    for found in sorted(subject.of(GatewayConfig), key=age):
        selector = tuple(sorted(found.spec.selector.items()))
        for index, server in enumerate(found.spec.servers):
            name = server.tls.credential_name if server.tls is not None else ""
            if not name:
                continue
            holder, held = first.setdefault((selector, name), (found, server))
            if holder is not found and set(held.hosts) != set(server.hosts):
                meta = holder.metadata
                message = (
                    f"Gateway {meta.namespace}/{meta.name} gives out {name!r} for other hosts: browsers reuse its "
                    "connections for these, and get 404 (hint: one Gateway with all hosts)"
                )
                at = f"$.spec.servers[{index}].tls.credentialName"
                yield finding(found, at, message, Code.SAME_CERTIFICATE)
