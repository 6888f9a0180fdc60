"""What makes pods, and the Services that lead to these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from isthmus.api.core.deployment import DaemonSet, Deployment, StatefulSet
from isthmus.api.core.pod import Pod, PodSpec
from isthmus.api.core.service import Service, ServicePort
from isthmus.model.analyze.selection import Selection
from isthmus.model.analyze.subject import Subject, finding_in
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Protocol

Owner = Deployment | StatefulSet | DaemonSet
_AUTO = "auto"


class _Led(NamedTuple):
    """A port of a Service that leads to some pods."""

    service: Service
    port: ServicePort
    protocol: Protocol


def owners(subject: Subject) -> Iterator[tuple[ClusterId, Owner]]:
    """All that makes pods, by cluster."""
    yield from subject.everywhere(Deployment)
    yield from subject.everywhere(StatefulSet)
    yield from subject.everywhere(DaemonSet)


def ports_have_one_protocol(subject: Subject) -> Iterator[Finding]:
    """All Services that lead to one port of some pods say the same of it."""
    by_place: dict[tuple[ClusterId, str], list[Owner]] = defaultdict(list)
    for cluster, owner in owners(subject):
        by_place[cluster, owner.metadata.namespace].append(owner)
    for where, here in by_place.items():
        led: dict[int, list[_Led]] = defaultdict(list)
        selection = Selection((each.spec.template.metadata.labels, each) for each in here)
        for service in subject.services_in.get(where, ()):
            for owner in selection.having(service.spec.selector) if service.spec.selector else ():
                led[id(owner)] += (_Led(service, port, protocol_of(port)) for port in service.spec.ports)
        for owner in here:
            yield from _of_owner(where[0], owner, led[id(owner)])


def _of_owner(cluster: ClusterId, owner: Owner, led: list[_Led]) -> Iterator[Finding]:
    by_target: dict[str, list[_Led]] = defaultdict(list)
    for one in led:
        by_target[str(one.port.target_port or one.port.port)].append(one)
    for target, group in by_target.items():
        if len({one.service.metadata.name for one in group}) < 2:
            continue
        protocols = {one.protocol for one in group} - {Protocol.UDP}
        if len(protocols) > 1:
            said = ", ".join(f"{one.protocol.value} in {one.service.metadata.name}" for one in group)
            message = f"port {target} of its pods is said to speak {said} (hint: the same in all Services)"
            yield finding_in(cluster, owner, "$.spec.template", message, Code.SEVERAL_PROTOCOLS)
        elif len({one.port.port for one in group}) > 1:
            said = ", ".join(f"port {one.port.port} of {one.service.metadata.name}" for one in group)
            message = f"port {target} of its pods is {said}: what comes in counts for the first of them"
            yield finding_in(cluster, owner, "$.spec.template", message, Code.CONFLICTING_PORTS)


def images_are_named(subject: Subject) -> Iterator[Finding]:
    """No container has `image: auto`: nobody puts an image in its place."""
    hint = "hint: name an image; isthmus install gateway writes a whole gateway"
    for cluster, owner in owners(subject):
        for at in _auto(owner.spec.template.spec):
            message = f"is auto, which is nobody's image ({hint})"
            yield finding_in(
                cluster, owner, f"$.spec.template.spec{at}", message, Code.AUTO_IMAGE_IN_TEMPLATE
            )
    for cluster, pod in subject.everywhere(Pod):
        for at in _auto(pod.spec):
            message = f"is auto, which is nobody's image ({hint})"
            yield finding_in(cluster, pod, f"$.spec{at}", message, Code.AUTO_IMAGE)


def _auto(spec: PodSpec) -> Iterator[str]:
    for index, container in enumerate(spec.containers):
        if container.image == _AUTO:
            yield f".containers[{index}].image"
