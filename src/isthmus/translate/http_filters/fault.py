"""fault: delays and refuses on purpose, for tests of what callers do then."""

from __future__ import annotations

from isthmus.api.istio.http_route import HTTPRoute, Percent
from isthmus.envoy.types import Any, EnvoyHttpFilter, FractionalPercent, HTTPFault
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.errors import Unsayable, at

NAME = "envoy.filters.http.fault"


def in_chain() -> EnvoyHttpFilter:
    return EnvoyHttpFilter(name=NAME, typed_config=proto.any_of(HTTPFault()))


def on_route(route: HTTPRoute) -> Any | None:
    """The faults of `route`; a share that is not said is all of it."""
    if route.fault is None:
        return None
    config = HTTPFault()
    if delay := route.fault.delay:
        with at("fault.delay.fixedDelay"):
            config.delay.fixed_delay.CopyFrom(proto.seconds(duration.parse(delay.fixed_delay)))
        config.delay.percentage.CopyFrom(_share(delay.percentage, delay.percent))
    if abort := route.fault.abort:
        if abort.http2_error is not None:
            raise Unsayable(
                "fault.abort.http2Error", "is no fault of Envoy's (hint: httpStatus or grpcStatus)"
            )
        if abort.grpc_status is not None:
            config.abort.grpc_status = _grpc_code(abort.grpc_status)
        else:
            config.abort.http_status = abort.http_status or 0
        config.abort.percentage.CopyFrom(_share(abort.percentage, None))
    return proto.any_of(config)


def _share(said: Percent | None, deprecated: int | None) -> FractionalPercent:
    if said is not None:
        return proto.percent(said.value)
    return proto.percent(100 if deprecated is None else deprecated)


# Source: gRPC's statuscodes.md, in the order of their numbers.
_GRPC = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def _grpc_code(name: str) -> int:
    if name not in _GRPC:
        raise Unsayable(
            "fault.abort.grpcStatus", f"no gRPC status {name!r} (hint: one of {', '.join(_GRPC)})"
        )
    return _GRPC.index(name)
