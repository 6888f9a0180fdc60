"""Configuration that is well-formed and still wrong or doubtful: one function a check, `CHECKS` lists them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.virtual_service import Destination, VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model.delegates import Wrong, with_delegates
from isthmus.model.endpoint import Endpoint
from isthmus.model.envoy_filters import envoy_filters_have_proxies
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.names import Hostname, ServiceKey, host_matches, kubernetes_hostname, resolve
from isthmus.model.rules import MESH, age, workloads_of
from isthmus.model.service import Service
from isthmus.model.sidecars import selected
from isthmus.model.visibility import is_visible

Check = Callable[[Mesh], Iterator[Finding]]


def analyze(mesh: Mesh) -> tuple[Finding, ...]:
    """All findings: those made on the way into the mesh, then those of each check."""
    return (*mesh.findings, *(finding for check in CHECKS for finding in check(mesh)))


def destinations_exist(mesh: Mesh) -> Iterator[Finding]:
    """Each destination of a VirtualService is a service with that port and subset."""
    by_host = {key.hostname: service for key, service in mesh.services.items()}
    subsets = _subsets(mesh)
    for found in mesh.of(VirtualService):
        for path, destination in _destinations(found):
            host = resolve(destination.host, found.metadata.namespace, mesh.settings.domain)
            service = by_host.get(host)
            if service is None:
                message = f"no service is called {host} (hint: {_nearest(host, by_host, mesh)})"
                yield _finding(found, f"{path}.host", message)
                continue
            yield from _port_exists(found, path, destination, service)
            if destination.subset and not _has_subset(subsets, host, destination.subset):
                message = (
                    f"{host} has no subset {destination.subset!r} (hint: define it in a DestinationRule)"
                )
                yield _finding(found, f"{path}.subset", message)


def subsets_have_endpoints(mesh: Mesh) -> Iterator[Finding]:
    """Each subset of a DestinationRule has endpoints in some cluster."""
    by_host = {key.hostname: key for key in mesh.services}
    for rule in mesh.of(DestinationRule):
        key = by_host.get(resolve(rule.spec.host, rule.metadata.namespace, mesh.settings.domain))
        if key is None:
            continue
        for index, subset in enumerate(rule.spec.subsets):
            wanted = tuple(subset.labels.items())
            if not any(endpoint.has_labels(wanted) for endpoint in _endpoints(mesh, key)):
                message = f"no endpoint of {key.hostname} has the labels of subset {subset.name!r}"
                yield _finding(rule, f"$.spec.subsets[{index}]", message, Severity.WARNING, Code.SUBSET_EMPTY)


def destination_rules_count(mesh: Mesh) -> Iterator[Finding]:
    """Each DestinationRule is for a service, and no older one of its namespace overrules its policy."""
    first: dict[object, DestinationRule] = {}
    hosts = {key.hostname for key in mesh.services}
    for rule in sorted(mesh.of(DestinationRule), key=age):
        host = resolve(rule.spec.host, rule.metadata.namespace, mesh.settings.domain)
        if host not in hosts and not (
            host.startswith("*") and any(host_matches(host, each) for each in hosts)
        ):
            message = f"no service is called {host}, so that this rule has no effect"
            yield _finding(rule, "$.spec.host", message, Severity.WARNING)
        elif rule.spec.traffic_policy is not None:
            holder = first.setdefault((rule.metadata.namespace, host, workloads_of(rule)), rule)
            if holder is not rule:
                message = (
                    f"has no effect: {holder.metadata.name} of this namespace has a policy for {host}, and is "
                    "older (hint: put them into one object)"
                )
                yield _finding(rule, "$.spec.trafficPolicy", message, Severity.WARNING, Code.OVERRULED)


def delegates_have_effect(mesh: Mesh) -> Iterator[Finding]:
    """Each delegate is there, is one, and has routes that some request of its root meets."""
    wrong: list[Wrong] = []
    with_delegates(mesh.of(VirtualService), mesh.settings.domain, wrong.append)
    yield from dict.fromkeys(
        _finding(each.found, each.path, each.message, code=Code.DELEGATE) for each in wrong
    )


def sidecars_have_effect(mesh: Mesh) -> Iterator[Finding]:
    """No Sidecar is overruled by an older one for the same workloads, or says what this mesh does not do."""
    first: dict[object, Sidecar] = {}
    for found in sorted(mesh.of(Sidecar), key=age):
        chosen = tuple(sorted(selected(found).items()))
        holder = first.setdefault((found.metadata.namespace, chosen), found)
        if holder is not found:
            code = Code.SAME_SELECTOR if chosen else Code.SEVERAL_SIDECARS
            message = f"has no effect: {holder.metadata.name} is for the same workloads, and is older"
            yield _finding(found, "$.spec.workloadSelector", message, Severity.WARNING, code)
        for path in _unheeded(found):
            yield _finding(found, path, "has no effect in this release", Severity.WARNING, Code.OTHER)


def _unheeded(found: Sidecar) -> Iterator[str]:
    spec = found.spec
    if spec.ingress:
        yield "$.spec.ingress"
    if spec.inbound_connection_pool is not None:
        yield "$.spec.inboundConnectionPool"
    if spec.outbound_traffic_policy is not None and spec.outbound_traffic_policy.egress_proxy is not None:
        yield "$.spec.outboundTrafficPolicy.egressProxy"
    for index, listener in enumerate(spec.egress):
        if listener.bind or listener.capture_mode == "NONE":
            yield f"$.spec.egress[{index}].bind"


def hosts_are_claimed_once(mesh: Mesh) -> Iterator[Finding]:
    """No two VirtualServices hold for one host in sidecars: the oldest counts."""
    first: dict[Hostname, VirtualService] = {}
    for found in sorted(mesh.of(VirtualService), key=age):
        if MESH not in (found.spec.gateways or (MESH,)):
            continue
        for index, name in enumerate(found.spec.hosts):
            host = resolve(name, found.metadata.namespace, mesh.settings.domain)
            holder = first.setdefault(host, found)
            namespace = holder.metadata.namespace
            if holder is not found and is_visible(holder.spec.export_to, namespace, found.metadata.namespace):
                message = (
                    f"{host} has rules in VirtualService {namespace}/{holder.metadata.name}, "
                    "which is older and counts (hint: put the rules into one object)"
                )
                yield _finding(found, f"$.spec.hosts[{index}]", message, Severity.WARNING, Code.SAME_HOSTS)


def gateways_have_proxies(mesh: Mesh) -> Iterator[Finding]:
    """Each Gateway selects some workload."""
    for found in mesh.of(GatewayConfig):
        wanted = found.spec.selector.items()
        if not any(wanted <= dict(workload.labels).items() for workload in mesh.workloads.values()):
            yield _finding(found, "$.spec.selector", "selects no pod", Severity.WARNING, Code.NO_WORKLOADS)


def gateways_exist(mesh: Mesh) -> Iterator[Finding]:
    """Each gateway that a VirtualService names is there."""
    known = {(each.metadata.namespace, each.metadata.name) for each in mesh.of(GatewayConfig)}
    for found in mesh.of(VirtualService):
        for index, name in enumerate(found.spec.gateways):
            namespace, slash, short = name.rpartition("/")
            place = (namespace if slash else found.metadata.namespace, short)
            if name != MESH and place not in known:
                yield _finding(found, f"$.spec.gateways[{index}]", f"no Gateway is called {'/'.join(place)}")


CHECKS: tuple[Check, ...] = (
    destinations_exist,
    subsets_have_endpoints,
    destination_rules_count,
    delegates_have_effect,
    hosts_are_claimed_once,
    sidecars_have_effect,
    gateways_exist,
    gateways_have_proxies,
    envoy_filters_have_proxies,
)


def _destinations(found: VirtualService) -> Iterator[tuple[str, Destination]]:
    for number, route in enumerate(found.spec.http):
        for index, share in enumerate(route.route):
            yield f"$.spec.http[{number}].route[{index}].destination", share.destination
        if route.mirror is not None:
            yield f"$.spec.http[{number}].mirror", route.mirror
        for index, mirror in enumerate(route.mirrors):
            yield f"$.spec.http[{number}].mirrors[{index}].destination", mirror.destination
    for number, tls in enumerate(found.spec.tls):
        for index, part in enumerate(tls.route):
            yield f"$.spec.tls[{number}].route[{index}].destination", part.destination
    for number, tcp in enumerate(found.spec.tcp):
        for index, part in enumerate(tcp.route):
            yield f"$.spec.tcp[{number}].route[{index}].destination", part.destination


def _port_exists(
    found: VirtualService, path: str, destination: Destination, service: Service
) -> Iterator[Finding]:
    number = destination.port.number if destination.port is not None else 0
    if number and service.port(number) is None:
        has = ", ".join(str(port.number) for port in service.ports)
        message = f"{service.key.hostname} has no port {number} (hint: it has {has})"
        yield _finding(found, f"{path}.port.number", message)


def _subsets(mesh: Mesh) -> dict[str, set[str]]:
    subsets: dict[str, set[str]] = {}
    for rule in mesh.of(DestinationRule):
        host = resolve(rule.spec.host, rule.metadata.namespace, mesh.settings.domain)
        subsets.setdefault(host, set()).update(subset.name for subset in rule.spec.subsets)
    return subsets


def _has_subset(subsets: Mapping[str, set[str]], host: str, name: str) -> bool:
    return any(name in found and host_matches(pattern, host) for pattern, found in subsets.items())


def _nearest(host: str, services: Mapping[Hostname, Service], mesh: Mesh) -> str:
    """What to do about a host that is no service: the name that was meant, where one is near."""
    name, _, namespace = host.partition(".")
    full = kubernetes_hostname(name, namespace, mesh.settings.domain)
    near = [full] if full in services else difflib.get_close_matches(host, services, 1, 0.8)
    return f"did you mean {near[0]}?" if near else "check the namespace"


def _endpoints(mesh: Mesh, key: ServiceKey) -> Iterator[Endpoint]:
    for shard in mesh.shards.get(key, {}).values():
        yield from shard.endpoints


def _finding(
    found: Object, path: str, message: str, severity: Severity = Severity.ERROR, code: Code = Code.NOT_FOUND
) -> Finding:
    kind = (
        type(found).__name__.removesuffix("Config")
        if isinstance(found, GatewayConfig)
        else type(found).__name__
    )
    ref = Ref(kind, found.metadata.namespace, found.metadata.name)
    return Finding(ref=ref, path=path, message=message, severity=severity, code=code)
