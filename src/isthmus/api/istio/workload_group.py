"""WorkloadGroup: from what WorkloadEntries are made. Source: Istio's WorkloadGroup reference, every field."""

from __future__ import annotations

from isthmus.api.istio.workload_entry import WorkloadEntrySpec
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber


class GroupMetadata(Part, frozen=True, kw_only=True):
    """What each entry of the group is marked with."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class HTTPHeader(Part, frozen=True, kw_only=True):
    """A header of a probe."""

    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by an HTTP request."""

    port: PortNumber
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by a connection."""

    port: PortNumber
    host: str = ""


class ExecHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by a command."""

    command: tuple[str, ...]


class GRPCHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by gRPC's health service."""

    port: PortNumber = 0
    service: str = ""


class ReadinessProbe(Part, frozen=True, kw_only=True):
    """How the agent beside the workload finds out whether it may be given traffic; times in seconds."""

    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GRPCHealthCheckConfig | None = None


class WorkloadGroupSpec(Part, frozen=True, kw_only=True):
    """What the entries have in common."""

    metadata: GroupMetadata = GroupMetadata()
    template: WorkloadEntrySpec
    probe: ReadinessProbe | None = None


class WorkloadGroup(Object, frozen=True, kw_only=True):
    """Workloads that are no pods and are alike."""

    spec: WorkloadGroupSpec
