"""WorkloadEntry: a workload that is no pod. Source: Istio's WorkloadEntry reference, every field."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber


class WorkloadEntrySpec(Part, frozen=True, kw_only=True):
    """Where a workload is, what it serves, and who it is."""

    address: str = ""
    """Where the workload is: an IP address, a name, or `unix:///path`. A name only where the ServiceEntry says DNS.
    Without one it is reached from other networks alone, by the gateways of its `network`.
    Envoy: an endpoint's `address`."""
    ports: dict[str, PortNumber] = {}
    """Where it serves, by the name of the service's port; without, at the port's own target.
    Envoy: the endpoint's `port_value`."""
    labels: dict[str, str] = {}
    """By which selectors and subsets find it."""
    network: str = ""
    """The network that it is reached in; callers of other networks go by that network's gateways."""
    locality: str = ""
    """Where it stands, as `region/zone/subzone`. Envoy: the `locality` of the endpoint's group."""
    weight: int = 0
    """Its share beside other endpoints; 0 is as much as any other.
    Envoy: the endpoint's `load_balancing_weight`."""
    service_account: str = ""
    """The account of its namespace that it runs as.
    Envoy: the identity that callers ask of its certificate, `match_typed_subject_alt_names`."""


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a workload."""

    type: str = ""
    status: str = ""


class WorkloadEntryStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What Pilot has been told of a workload."""

    conditions: tuple[Condition, ...] = ()


HEALTH_CHECKED = "proxy.istio.io/health-checks-enabled"
"""Annotation, `true`: the workload gets traffic only while it is known to be well."""
HEALTHY = "Healthy"
"""The condition that says whether it is."""


class WorkloadEntry(Object, frozen=True, kw_only=True):
    """A workload that is no pod."""

    spec: WorkloadEntrySpec
    status: WorkloadEntryStatus = WorkloadEntryStatus()

    @property
    def may_be_called(self) -> bool:
        """Whether it is well, as far as anybody asks."""
        asked = self.metadata.annotations.get(HEALTH_CHECKED) == "true"
        return not asked or any(
            each.type == HEALTHY and each.status == "True" for each in self.status.conditions
        )
