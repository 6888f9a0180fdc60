"""PeerAuthentications: that they count, and that callers can come on their terms."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.core.pod import Pod
from isthmus.api.istio.destination_rule import ClientTLSSettings, DestinationRule, TrafficPolicy
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.model.analyze.subject import Subject, finding, finding_of
from isthmus.model.codes import Code
from isthmus.model.endpoint import Endpoint
from isthmus.model.findings import Finding
from isthmus.model.from_service_entry import labels_of
from isthmus.model.names import Hostname, host_matches, resolve
from isthmus.model.peer_authentications import (
    DISABLE,
    STRICT,
    Decided,
    Labels,
    PeerAuthentications,
    decided,
    ref_of,
    selected,
)
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.model.shards import TLS_LABEL, has_sidecar
from isthmus.model.sidecars import Sidecars
from isthmus.model.uncaptured import EXCLUDED, named_ports, uncaptured

_STRANGE = frozenset({"DISABLE", "SIMPLE"})
"""Modes of callers whom no STRICT side takes. With MUTUAL they may show a certificate of the mesh, for all we know."""


def are_alone(subject: Subject) -> Iterator[Finding]:
    """No PeerAuthentication is overruled by an older one for the same workloads."""
    yield from _peers(subject).findings()
    for each, holder, workload in subject.contested(subject.of(PeerAuthentication), selected):
        older = holder.metadata.name
        message = f"has no effect for {workload.name}: {older} selects it as well, and is older (hint: one for both)"
        yield finding(each, "$.spec.selector", message, Code.PEERS_OVERRULED)


def have_workloads(subject: Subject) -> Iterator[Finding]:
    """Each PeerAuthentication with a selector finds a workload, in Kubernetes or outside."""
    outside = [
        *((each.metadata.namespace, labels_of(each)) for each in subject.of(WorkloadEntry)),
        *(
            (each.metadata.namespace, each.spec.metadata.labels | each.spec.template.labels)
            for each in subject.of(WorkloadGroup)
        ),
    ]
    for each in subject.of(PeerAuthentication):
        wanted, namespace = selected(each), each.metadata.namespace
        is_outside = any(own == namespace and wanted.items() <= labels.items() for own, labels in outside)
        if wanted and not is_outside and not subject.finds(wanted, namespace):
            labels = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
            yield finding(each, "$.spec.selector", f"no workload has {labels}", Code.NO_WORKLOADS)


def have_proxies(subject: Subject) -> Iterator[Finding]:
    """Each workload that a PeerAuthentication selects has a sidecar that keeps its terms."""
    for each in subject.of(PeerAuthentication):
        here = subject.workloads_in.get(each.metadata.namespace)
        found = list(here.having(selected(each))) if here is not None and selected(each) else []
        if found and not any((TLS_LABEL, "istio") in workload.labels for workload in found):
            message = (
                "has no effect: none of its pods has a sidecar (hint: isthmus kube-inject; at gateways the servers of "
                "a Gateway say on which terms callers come)"
            )
            yield finding(each, "$.spec.selector", message, Code.PEERS_UNHEEDED)


def are_not_passed_by(subject: Subject) -> Iterator[Finding]:
    """No port of a pod is STRICT and kept from its sidecar, so that anybody may call it."""
    peers, told = _peers(subject), dict[tuple[int, str, int], tuple[Decided, list[str]]]()
    for cluster, pod in subject.everywhere(Pod) if subject.of(PeerAuthentication) else ():
        served = {
            one.target_port
            for address in pod.status.addresses
            if (workload := subject.mesh.workloads.get((cluster, address))) is not None
            for one in workload.serves
        }
        ports = served.union(named_ports(pod.metadata.annotations.get(EXCLUDED, "")))
        for port in uncaptured(pod, ports) if has_sidecar(pod) else ():
            found = _decided(peers, pod.metadata.namespace, pod.metadata.labels.items(), port)
            if found.mode == STRICT and found.by is not None:
                name = f'{pod.metadata.namespace}/{pod.metadata.name} in cluster "{cluster}"'
                told.setdefault((id(found.by), found.path, port), (found, []))[1].append(name)
    for (_, path, port), (found, pods) in told.items():
        more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        message = (
            f"does not hold at port {port} of {pods[0]}{more}, where annotations keep it from the sidecar: anybody may "
            "call it in plain text (hint: traffic.sidecar.istio.io/excludeInboundPorts without it)"
        )
        if found.by is not None:
            yield finding(found.by, path, message, Code.PEERS_UNHEEDED)


def callers_agree(subject: Subject) -> Iterator[Finding]:
    """No DestinationRule has callers come on terms on which some endpoint takes nobody."""
    peers = _peers(subject)
    for rule in subject.of(DestinationRule) if subject.of(PeerAuthentication) else ():
        host = resolve(rule.spec.host, rule.metadata.namespace, subject.domain)
        for service in _services(subject, host, rule.metadata.namespace):
            told: set[str] = set()
            for path, tls, port, labels in _asked(rule, service):
                if path in told:
                    continue
                for endpoint in _endpoints(subject, service):
                    why = _refusal(peers, tls, endpoint, port) if endpoint.has_labels(labels) else ""
                    if why:
                        message = f"is {tls.mode}, and port {port.number} of {service.key.hostname} {why}"
                        yield finding(rule, f"{path}.tls.mode", message, Code.TLS_CONFLICT)
                        told.add(path)
                        break


def _refusal(peers: PeerAuthentications, tls: ClientTLSSettings, endpoint: Endpoint, port: Port) -> str:
    """Why an endpoint does not take callers that come with `tls`; empty where it may."""
    number = endpoint.port(port.name)
    if not endpoint.tls or number is None:
        return ""
    found = _decided(peers, endpoint.namespace, endpoint.labels, number)
    if found.by is None:
        return ""
    by, who = ref_of(found.by), f"{endpoint.namespace}/{endpoint.workload}"
    if found.mode == STRICT and tls.mode in _STRANGE and number not in endpoint.plain_at:
        return f"takes mutual TLS alone at {who}, as {by} says (hint: ISTIO_MUTUAL, or no tls at all)"
    if found.mode == DISABLE and tls.mode == "ISTIO_MUTUAL":
        return f"takes no mutual TLS at {who}, as {by} says (hint: no tls at all: callers follow the terms)"
    return ""


def gateways_let_in(subject: Subject) -> Iterator[Finding]:
    """No PeerAuthentication takes mutual TLS away where callers of other networks come with it or not at all."""
    peers, networks = _peers(subject), subject.mesh.networks
    entered = networks.gateways.keys() | networks.awaited
    told: set[tuple[int, str]] = set()
    for key in sorted(subject.mesh.services) if entered else ():
        service = subject.mesh.services[key]
        if service.pod_of or service.alias_of or subject.mesh.settings.keeps_local(key.hostname):
            continue
        for port, endpoint in _plain(subject, service):
            found = _decided(peers, endpoint.namespace, endpoint.labels, endpoint.port(port.name) or 0)
            if endpoint.network not in entered or found.mode != DISABLE or found.by is None:
                continue
            if (id(found.by), found.path) not in told:
                told.add((id(found.by), found.path))
                message = (
                    f"callers of other networks do not reach port {port.number} of {key.hostname} in network "
                    f"{endpoint.network}, whose gateways let in mutual TLS alone (hint: PERMISSIVE)"
                )
                yield finding(found.by, found.path, message, Code.PLAIN_BEHIND_GATEWAY)


def pods_are_alike(subject: Subject) -> Iterator[Finding]:
    """Pods that callers cannot tell apart have terms in common: those of a headless service, or sent datagrams."""
    peers = _peers(subject)
    for key in sorted(subject.mesh.services) if subject.of(PeerAuthentication) else ():
        service = subject.mesh.services[key]
        endpoints = list(_endpoints(subject, service))
        is_headless = service.resolution is Resolution.PASSTHROUGH
        for port in service.ports:
            is_datagrams = port.protocol is Protocol.UDP
            strict = next((each for each in endpoints if _is_strict(peers, each, port)), None)
            plain = next((each for each in endpoints if not each.mutual_at(port.name)), None)
            if strict is None or not (is_headless or is_datagrams) or service.pod_of:
                continue
            if is_headless and is_datagrams:
                why, hint = "datagrams to a headless service come in no tunnel", "a Service with an address"
            elif plain is not None:
                why = f"{plain.workload or plain.address} takes no mutual TLS"
                hint = "the same terms for all"
            else:
                continue
            message = (
                f"all its pods are called in plain text at port {port.number}, since {why}, and {strict.workload} "
                f"takes nothing else (hint: {hint})"
            )
            yield finding_of(service, "$.spec.ports", message, Code.TERMS_APART)


def _is_strict(peers: PeerAuthentications, endpoint: Endpoint, port: Port) -> bool:
    number = endpoint.port(port.name)
    if number is None or not endpoint.mutual_at(port.name):
        return False
    return _decided(peers, endpoint.namespace, endpoint.labels, number).mode == STRICT


def strangers_may_come(subject: Subject) -> Iterator[Finding]:
    """No ingress of a Sidecar has TLS for callers that are not of the mesh at a port that takes only those that are."""
    peers = _peers(subject)
    sidecars = Sidecars(subject.of(Sidecar), subject.root)
    told: set[tuple[int, int]] = set()
    for workload in subject.mesh.workloads.values() if subject.of(PeerAuthentication) else ():
        found = sidecars.holding(workload.namespace, workload.labels)
        for index, each in enumerate(found.spec.ingress if found is not None else ()):
            by = _decided(peers, workload.namespace, workload.labels, each.port.number)
            if found is None or each.tls is None or by.mode != STRICT or by.by is None:
                continue
            if (id(found), index) not in told:
                told.add((id(found), index))
                message = (
                    f"has no effect: {ref_of(by.by)} lets nobody in at port {each.port.number} but with mutual TLS of "
                    "the mesh (hint: PERMISSIVE, or DISABLE, for that port)"
                )
                yield finding(found, f"$.spec.ingress[{index}].tls", message, Code.NO_EFFECT)


def _peers(subject: Subject) -> PeerAuthentications:
    return PeerAuthentications(subject.of(PeerAuthentication), subject.root)


def _decided(peers: PeerAuthentications, namespace: str, labels: Labels, port: int) -> Decided:
    return decided(peers.scopes(namespace, labels), port)


def _endpoints(subject: Subject, service: Service) -> Iterator[Endpoint]:
    for shard in subject.mesh.shards.get(service.key, {}).values():
        yield from shard.endpoints


def _plain(subject: Subject, service: Service) -> Iterator[tuple[Port, Endpoint]]:
    """The endpoints with a sidecar that are called in plain text, and at which ports."""
    for endpoint in _endpoints(subject, service):
        for port in service.ports if endpoint.plain_at else ():
            if endpoint.port(port.name) in endpoint.plain_at:
                yield port, endpoint


def _services(subject: Subject, host: Hostname, namespace: str) -> Iterator[Service]:
    """The services that a DestinationRule for `host` is for."""
    if not host.startswith("*"):
        found = subject.service_called(host, namespace)
        yield from [found] if found is not None else ()
        return
    yield from (each for each in subject.services_by_host.values() if host_matches(host, each.key.hostname))


Asked = tuple[str, ClientTLSSettings, Port, tuple[tuple[str, str], ...]]
"""Where a rule says how a port is called, what it says, and the labels of the endpoints that are meant."""


def _asked(rule: DestinationRule, service: Service) -> Iterator[Asked]:
    policies: list[tuple[str, TrafficPolicy | None, dict[str, str]]] = [
        ("$.spec.trafficPolicy", rule.spec.traffic_policy, {}),
        *(
            (f"$.spec.subsets[{index}].trafficPolicy", subset.traffic_policy, subset.labels)
            for index, subset in enumerate(rule.spec.subsets)
        ),
    ]
    for at, policy, labels in policies:
        for port in service.ports if policy is not None else ():
            path, tls = _of_port(at, policy, port) if policy is not None else ("", None)
            if tls is not None:
                yield path, tls, port, tuple(sorted(labels.items()))


def _of_port(at: str, policy: TrafficPolicy, port: Port) -> tuple[str, ClientTLSSettings | None]:
    """What a policy says of TLS to a port, and where."""
    for index, own in enumerate(policy.port_level_settings):
        if own.port is not None and own.port.number == port.number:
            return f"{at}.portLevelSettings[{index}]", own.tls
    return at, policy.tls
