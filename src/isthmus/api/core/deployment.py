"""What makes pods: Deployment, StatefulSet, DaemonSet; the template of their pods is what is looked at."""

from __future__ import annotations

import msgspec

from isthmus.api.core.pod import PodSpec
from isthmus.api.resource import Meta, Object


class PodTemplate(msgspec.Struct, frozen=True):
    """What its pods are like."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(msgspec.Struct, frozen=True):
    """The pods, by their template."""

    template: PodTemplate = PodTemplate()


class Deployment(Object, frozen=True, kw_only=True):
    """Pods that may be anywhere."""

    spec: WorkloadSpec = WorkloadSpec()


class StatefulSet(Object, frozen=True, kw_only=True):
    """Pods with names of their own."""

    spec: WorkloadSpec = WorkloadSpec()


class DaemonSet(Object, frozen=True, kw_only=True):
    """A pod on each node."""

    spec: WorkloadSpec = WorkloadSpec()
