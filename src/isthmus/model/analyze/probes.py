"""Probes of kubelets: that no policy refuses those that the agent does not answer for the application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from isthmus.api.core.pod import Container, Pod
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.resource import Ref
from isthmus.model.analyze.subject import Subject
from isthmus.model.authorization_findings import ref_of as policy_ref
from isthmus.model.authorization_policies import services_of
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.peer_authentications import STRICT, PeerAuthentications, decided, ref_of
from isthmus.model.proxy_config_problems import OWN_PORTS
from isthmus.model.selection import selects_labels
from isthmus.model.shards import has_sidecar
from isthmus.model.stranger import Stranger
from isthmus.model.uncaptured import uncaptured

REWRITE, STATUS_PORT = "sidecar.istio.io/rewriteAppHTTPProbers", "status.sidecar.istio.io/port"
_STATUS = "sidecar.istio.io/status"
_CODE = Code.PROBES_SHUT_OUT
_AT_AGENT = "/app-health/"
_NO = frozenset({"false", "0", "f", "no", "n", "off"})


class _Asked(NamedTuple):
    """A probe that reaches the pod's Envoy."""

    name: str  # as in the manifest
    container: str
    call: Stranger


def are_let_in(subject: Subject) -> Iterator[Finding]:
    """No kubelet is refused when it asks for a probe past the agent: it has no certificate, and speaks plain text."""
    peers, rules = subject.of(PeerAuthentication), _rules(subject)
    if not peers and not rules:
        return
    terms = PeerAuthentications(peers, subject.root)
    told: dict[tuple[Ref, str, int], list[tuple[Pod, _Asked]]] = {}
    for cluster, pod in subject.everywhere(Pod):
        for asked in _past_agent(pod) if has_sidecar(pod) else ():
            by = _by_terms(terms, pod, asked) or _by_rules(rules, subject, cluster, pod, asked)
            if by is not None:
                told.setdefault((*by, asked.call.port), []).append((pod, asked))
    for (ref, path, _), found in told.items():
        yield Finding(
            ref=ref, path=path, message=_message(*found[0], found), severity=_CODE.severity, code=_CODE
        )


def _message(pod: Pod, asked: _Asked, found: list[tuple[Pod, _Asked]]) -> str:
    others = len({each.metadata.name for each, _ in found}) - 1
    more = f" (and {others} more)" if others else ""
    who = f"{pod.metadata.namespace}/{pod.metadata.name}{more}"
    becomes = "is ended again and again" if asked.name == "livenessProbe" else "never gets ready"
    if _refuses(pod):
        off = REWRITE if STATUS_PORT not in pod.metadata.annotations else STATUS_PORT
        mend = f"the pod without its annotation {off}"
    else:
        mend = "kube-inject it anew, so that its agent answers for it"
    return (
        f"refuses the kubelet, which asks for the {asked.name} of container {asked.container} of {who} at port "
        f"{asked.call.port} without a certificate: it {becomes} (hint: {mend})"
    )


def _past_agent(pod: Pod) -> Iterator[_Asked]:
    if not _refuses(pod) and _STATUS not in pod.metadata.annotations:
        return  # injection leads them to the agent
    staying = (each for each in pod.spec.init_containers if each.restart_policy == "Always")
    for container in (*pod.spec.containers, *staying):
        for asked in _of(container):
            if asked.call.port not in OWN_PORTS and not uncaptured(pod, (asked.call.port,)):
                yield asked


def _of(container: Container) -> Iterator[_Asked]:
    for name, probe in (
        ("startupProbe", container.startup_probe),
        ("readinessProbe", container.readiness_probe),
        ("livenessProbe", container.liveness_probe),
    ):
        found = (probe.http_get or probe.grpc) if probe is not None else None
        if probe is None or found is None or found.host or found.path.startswith(_AT_AGENT):
            continue
        number = container.port_called(found.port)
        if probe.http_get is not None:
            yield _Asked(name, container.name, Stranger(number, "GET", found.path.partition("?")[0] or "/"))
        else:
            yield _Asked(name, container.name, Stranger(number, "POST", "/grpc.health.v1.Health/Check"))


def _refuses(pod: Pod) -> bool:
    """Whether the pod wants its probes to stay as they are."""
    said = pod.metadata.annotations
    return said.get(REWRITE, "").strip().lower() in _NO or said.get(STATUS_PORT, "").strip() == "0"


def _by_terms(terms: PeerAuthentications, pod: Pod, asked: _Asked) -> tuple[Ref, str] | None:
    found = decided(terms.scopes(pod.metadata.namespace, pod.metadata.labels.items()), asked.call.port)
    return (ref_of(found.by), found.path) if found.mode == STRICT and found.by is not None else None


def _rules(subject: Subject) -> dict[str, list[AuthorizationPolicy]]:
    """The policies that are kept, by namespace."""
    found: dict[str, list[AuthorizationPolicy]] = {}
    for each in subject.of(AuthorizationPolicy):
        if not each.is_dry and each.spec.action in {"ALLOW", "DENY"}:
            found.setdefault(each.metadata.namespace, []).append(each)
    return found


def _by_rules(
    rules: dict[str, list[AuthorizationPolicy]], subject: Subject, cluster: ClusterId, pod: Pod, asked: _Asked
) -> tuple[Ref, str] | None:
    """The policy that refuses, and where it says so; None where none does for sure."""
    places = dict.fromkeys((subject.root, pod.metadata.namespace))
    held = [
        each
        for place in places
        for each in rules.get(place, ())
        if _holds(each, subject, cluster, pod, asked.call.port)
    ]
    for each in held:
        for number, rule in enumerate(each.spec.rules or ()):
            if each.spec.action == "DENY" and asked.call.is_meant(rule):
                return policy_ref(each), f"$.spec.rules[{number}]"
    allowing = [each for each in held if each.spec.action == "ALLOW"]
    if allowing and not any(
        asked.call.may_be_meant(rule) for each in allowing for rule in each.spec.rules or ()
    ):
        return policy_ref(allowing[0]), "$.spec.rules"
    return None


def _holds(found: AuthorizationPolicy, subject: Subject, cluster: ClusterId, pod: Pod, port: int) -> bool:
    if selects_labels(found, pod.metadata.namespace, pod.metadata.labels):
        return True
    workload = subject.mesh.workloads.get((cluster, pod.status.pod_ip))
    meant = services_of(found, subject.mesh) if workload is not None else ()
    return workload is not None and any(
        one.target_port == port and one.service in meant for one in workload.serves
    )
