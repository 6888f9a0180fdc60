"""Telemetry: what proxies tell of calls: traces, metrics, access logs. Source: Istio's reference, every field."""

from __future__ import annotations

from typing import Literal

from isthmus.api.istio.envoy_filter import PolicyTargetReference
from isthmus.api.istio.proxy_config import CustomTag
from isthmus.api.istio.wasm_plugin import MatchLabelsSelector
from isthmus.api.resource import Object, Part
from isthmus.api.words import AtLeast1Ms, Share

Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
Metric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]


class ProviderRef(Part, frozen=True, kw_only=True):
    """A provider."""

    name: str
    """By which `extensionProviders` of MeshConfig call it."""


class ModeMatch(Part, frozen=True, kw_only=True):
    """Calls by the side from which they are told."""

    mode: Mode = "CLIENT_AND_SERVER"
    """Of the caller's proxy, of the one that is called, or of both. Gateways are callers."""


class TracingRule(Part, frozen=True, kw_only=True):
    """Which calls are traced, and what their spans say. What is left out is as the wider scope says."""

    match: ModeMatch | None = None
    """For which calls this holds; without, for all."""
    providers: tuple[ProviderRef, ...] = ()
    """Who gets the spans: the first of them, for Envoy reports to one.
    Envoy: `provider` of the connection manager's `tracing`."""
    random_sampling_percentage: Share | None = None
    """How many calls of a hundred are traced that nobody decided on before; 1 without.
    Envoy: `random_sampling`."""
    disable_span_reporting: bool | None = None
    """Whether no spans are reported. Envoy: no `tracing`, or `random_sampling` 0."""
    custom_tags: dict[str, CustomTag] = {}
    """Further tags of spans, by name. Envoy: `custom_tags`."""
    use_request_id_for_trace_sampling: bool | None = None
    """Whether the header `x-request-id` decides over sampling; true without.
    Envoy: `request_id_extension`, `use_request_id_for_trace_sampling`."""
    enable_istio_tags: bool | None = None
    """Whether spans say Istio's canonical service, revision, mesh, namespace and cluster; true without.
    Envoy: `custom_tags` named `istio.…`."""
    disable_context_propagation: bool | None = None
    """Whether the headers of a trace are not passed on. Envoy: `no_context_propagation`."""


class MetricSelector(Part, frozen=True, kw_only=True):
    """Metrics by name and side."""

    metric: Metric | None = None
    """One of Istio's metrics."""
    custom_metric: str = ""
    """Another metric."""
    mode: Mode = "CLIENT_AND_SERVER"
    """By whose proxy it is counted."""


class TagOverride(Part, frozen=True, kw_only=True):
    """What becomes of a label."""

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    """Whether it is set or taken away."""
    value: str = ""
    """Its value, an expression in CEL."""


class MetricOverride(Part, frozen=True, kw_only=True):
    """What becomes of some metrics."""

    match: MetricSelector | None = None
    """Which metrics; without, all."""
    disabled: bool | None = None
    """Whether they are not counted."""
    tag_overrides: dict[str, TagOverride] = {}
    """What becomes of their labels, by name."""


class MetricsRule(Part, frozen=True, kw_only=True):
    """Which metrics are counted."""

    providers: tuple[ProviderRef, ...] = ()
    """Who gets them."""
    overrides: tuple[MetricOverride, ...] = ()
    """What is not as usual."""
    reporting_interval: AtLeast1Ms = ""
    """How often they are told."""


class LogFilter(Part, frozen=True, kw_only=True):
    """Which calls are logged."""

    expression: str = ""
    """An expression in CEL over Envoy's attributes, as `response.code >= 500`.
    Envoy: `extension_filter` of the access log."""


class AccessLogging(Part, frozen=True, kw_only=True):
    """Which calls are logged, and where. What is left out is as the wider scope says."""

    match: ModeMatch | None = None
    """For which calls this holds; without, for all."""
    providers: tuple[ProviderRef, ...] = ()
    """Who gets the lines. Envoy: one `access_log` each."""
    disabled: bool | None = None
    """Whether there are none."""
    filter: LogFilter | None = None
    """Which of these calls are logged; without, all."""


class TelemetrySpec(Part, frozen=True, kw_only=True):
    """For whom, and what."""

    selector: MatchLabelsSelector | None = None
    """The workloads for which this holds; without, all of the namespace, or of the mesh in the root namespace."""
    target_ref: PolicyTargetReference | None = None
    """The Gateway whose proxies these are; `targetRefs` is newer."""
    target_refs: tuple[PolicyTargetReference, ...] = ()
    """The Gateways whose proxies these are."""
    tracing: tuple[TracingRule, ...] = ()
    """How calls are traced."""
    metrics: tuple[MetricsRule, ...] = ()
    """No effect: metrics are Envoy's own here, those of Istio come with another version."""
    access_logging: tuple[AccessLogging, ...] = ()
    """How calls are logged."""


class Telemetry(Object, frozen=True, kw_only=True):
    """What proxies tell of calls."""

    spec: TelemetrySpec = TelemetrySpec()
