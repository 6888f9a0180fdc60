"""DestinationPolicy: how services were called in 2018. Source: istio.routing.v1alpha1, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.istio_2018.route_rule import Custom
from isthmus.api.istio_2018.service import IstioService
from isthmus.api.resource import Object, Part

Count = Annotated[int, Meta(ge=0)]


class RingHash(Part, frozen=True, kw_only=True):
    """Consistent hashing on a ring."""

    ring_size: int = 0
    std_hash: bool = False


class LoadBalancing(Part, frozen=True, kw_only=True):
    """Which endpoint was next."""

    name: str = ""
    ring_hash: RingHash | None = None
    custom: Custom | None = None


class SimpleCircuitBreaker(Part, frozen=True, kw_only=True):
    """Limits, and when an endpoint was put aside."""

    max_connections: Count = 0
    http_max_pending_requests: Count = 0
    http_max_requests: Count = 0
    sleep_window: str = ""
    http_consecutive_errors: Count = 0
    http_detection_interval: str = ""
    http_max_requests_per_connection: Count = 0
    http_max_ejection_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    http_max_retries: Count = 0


class CircuitBreaker(Part, frozen=True, kw_only=True):
    """Limits, and when an endpoint was put aside."""

    simple_cb: SimpleCircuitBreaker | None = None
    custom: Custom | None = None


class DestinationPolicySpec(Part, frozen=True, kw_only=True):
    """How a service, or some versions of it, was called; by all, or by one service."""

    destination: IstioService | None = None
    source: IstioService | None = None
    load_balancing: LoadBalancing | None = None
    circuit_breaker: CircuitBreaker | None = None
    custom: Custom | None = None


class DestinationPolicy(Object, frozen=True, kw_only=True):
    """How a service was called."""

    spec: DestinationPolicySpec
