"""WorkloadEntry: a workload that is no pod. Source: Istio's WorkloadEntry reference, every field."""

from __future__ import annotations

from isthmus.api.istio.virtual_service import PortNumber
from isthmus.api.resource import Object, Part


class WorkloadEntrySpec(Part, frozen=True, kw_only=True):
    """Where a workload is, what it serves, and who it is."""

    address: str = ""  # an IP address, a name (with DNS resolution only), or unix:///path
    ports: dict[str, PortNumber] = {}  # number by name of the service's port
    labels: dict[str, str] = {}
    network: str = ""
    locality: str = ""  # region/zone/subzone
    weight: int = 0  # 0: as much as any other
    service_account: str = ""


class WorkloadEntry(Object, frozen=True, kw_only=True):
    """A workload that is no pod."""

    spec: WorkloadEntrySpec
