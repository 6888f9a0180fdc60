"""WorkloadGroup: from what WorkloadEntries are made. Source: Istio's WorkloadGroup reference, every field."""

from __future__ import annotations

from isthmus.api.istio.workload_entry import WorkloadEntrySpec
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber


class GroupMetadata(Part, frozen=True, kw_only=True):
    """What each entry of the group is marked with."""

    labels: dict[str, str] = {}
    """Labels that each entry of the group shall have."""
    annotations: dict[str, str] = {}
    """Annotations that each entry of the group shall have."""


class HTTPHeader(Part, frozen=True, kw_only=True):
    """A header of a probe."""

    name: str = ""
    """Its name."""
    value: str = ""
    """Its value."""


class HTTPHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by an HTTP request."""

    port: PortNumber
    """The port that is asked."""
    path: str = "/"
    """The path that is asked for."""
    host: str = ""
    """The host that is asked; without a word the workload itself."""
    scheme: str = "HTTP"
    """HTTP or HTTPS."""
    http_headers: tuple[HTTPHeader, ...] = ()
    """Headers of the request."""


class TCPHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by a connection."""

    port: PortNumber
    """The port that must take a connection."""
    host: str = ""
    """The host that must take it; without a word the workload itself."""


class ExecHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by a command."""

    command: tuple[str, ...]
    """The command and its arguments; the workload is ready where it ends with 0."""


class GRPCHealthCheckConfig(Part, frozen=True, kw_only=True):
    """A probe by gRPC's health service."""

    port: PortNumber = 0
    """The port that is asked."""
    service: str = ""
    """The service whose health is asked for; without a word the server's."""


class ReadinessProbe(Part, frozen=True, kw_only=True):
    """How the agent beside the workload finds out whether it may be given traffic; times in seconds."""

    initial_delay_seconds: int = 0
    """How long after the start of the workload the first probe is; not negative."""
    timeout_seconds: int = 1
    """How long a probe may take; not negative."""
    period_seconds: int = 10
    """How long from probe to probe; not negative."""
    success_threshold: int = 1
    """How many probes in a row must succeed, after one that failed."""
    failure_threshold: int = 3
    """How many probes in a row must fail."""
    http_get: HTTPHealthCheckConfig | None = None
    """A request that must be answered well. Exactly one way of probing must be said."""
    tcp_socket: TCPHealthCheckConfig | None = None
    """A connection that must come about."""
    exec: ExecHealthCheckConfig | None = None
    """A command that must succeed."""
    grpc: GRPCHealthCheckConfig | None = None
    """A question to gRPC's health service."""


class WorkloadGroupSpec(Part, frozen=True, kw_only=True):
    """What the entries have in common. Each workload whose agent has the group's name in its
    `ISTIO_META_AUTO_REGISTER_GROUP` gets one, `GROUP-ADDRESS[-NETWORK]`, for as long as it is connected to Pilot."""

    metadata: GroupMetadata = GroupMetadata()
    """What each entry of the group is marked with, over what the template says."""
    template: WorkloadEntrySpec
    """What each entry of the group says, but for `address`, which must not stand here: it is the workload's own.
    Labels, network and locality that the workload says of itself go over it. `serviceAccount` decides who may be of
    the group: those whose certificate is of that account of the group's namespace; without a word `default`."""
    probe: ReadinessProbe | None = None
    """How the agent finds out whether its workload is well, and tells Pilot, which says so in the entry's condition
    `Healthy`. An entry whose workload is not, or not yet, gets no traffic. Envoy: the endpoint is not there."""


class WorkloadGroup(Object, frozen=True, kw_only=True):
    """Workloads that are no pods and are alike."""

    spec: WorkloadGroupSpec
