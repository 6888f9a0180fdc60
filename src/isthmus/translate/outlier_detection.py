"""outlierDetection → when Envoy puts an endpoint aside, and what holds without a word of it."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.api.istio import destination_rule as api
from isthmus.envoy.types import (
    Cluster,
    HeaderMatcher,
    HttpHeadersMatch,
    Int64Range,
    MatchPredicate,
    OutlierDetection,
)
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.errors import at
from isthmus.translate.upstream_policy import Policy

_ONE_IN_A_HUNDRED = 1
"""The least share of well endpoints, in per cent, that Envoy knows but none."""


def apply_outlier_detection(upstream: Cluster, policy: Policy, crosses: bool, enters: bool = False) -> None:
    """When an endpoint is put aside. Across clusters this is on by default: failover depends on it.

    `enters`: some are behind gateways of other networks.
    """
    asked = policy.outlier_detection
    if asked is not None:
        upstream.outlier_detection.CopyFrom(_as_asked(asked))
    elif crosses:
        upstream.outlier_detection.CopyFrom(_across_clusters())
        if enters:
            _spare_gateways(upstream.outlier_detection)
        upstream.close_connections_on_host_health_failure = True
    if upstream.type == Cluster.ORIGINAL_DST:
        return  # it has neither localities nor a number of endpoints
    if upstream.HasField("outlier_detection"):
        upstream.common_lb_config.locality_weighted_lb_config.SetInParent()
    _apply_panic(upstream, asked)


def _apply_panic(upstream: Cluster, asked: api.OutlierDetection | None) -> None:
    """Below which share of well endpoints all are asked, also those that were put aside or go away.

    Whoever asks for detection says so himself. Where nobody did, all are asked only when none is left:
    what was put aside may answer, where nothing else can. Envoy's own half would ask pods that go away
    while enough others stay.
    """
    if asked is not None:
        upstream.common_lb_config.healthy_panic_threshold.value = asked.min_health_percent
    elif upstream.type == Cluster.EDS:
        upstream.common_lb_config.healthy_panic_threshold.value = _ONE_IN_A_HUNDRED


def _across_clusters() -> OutlierDetection:
    """Refused, reset or unanswered connections put an endpoint aside soon, answers 502 to 504 a bit later.

    Answers of the application itself (500) never do. It is tried again after five seconds, and after
    half a minute at the most: a healed link is found soon.
    """
    found = OutlierDetection(
        interval=proto.seconds(1),
        base_ejection_time=proto.seconds(5),
        max_ejection_time=proto.seconds(30),
        split_external_local_origin_errors=True,
    )
    found.max_ejection_percent.value = 100
    found.consecutive_local_origin_failure.value = 2
    found.enforcing_consecutive_local_origin_failure.value = 100
    found.consecutive_gateway_failure.value = 3
    found.enforcing_consecutive_gateway_failure.value = 100
    found.enforcing_consecutive_5xx.value = 0
    found.enforcing_success_rate.value = 0
    found.enforcing_local_origin_success_rate.value = 0
    return found


def _spare_gateways(found: OutlierDetection) -> None:
    """A gateway stands for all that is behind it: one that answers badly there must not put all of it aside.

    So answers do not count, and connections must fail more often, before Envoy takes it for gone.
    """
    found.consecutive_local_origin_failure.value = 5
    found.enforcing_consecutive_gateway_failure.value = 0


def _as_asked(asked: api.OutlierDetection) -> OutlierDetection:
    found = OutlierDetection(split_external_local_origin_errors=asked.split_external_local_origin_errors)
    found.enforcing_success_rate.value = 0
    if asked.interval:
        found.interval.CopyFrom(proto.seconds(duration.parse(asked.interval)))
    if asked.base_ejection_time:
        found.base_ejection_time.CopyFrom(proto.seconds(duration.parse(asked.base_ejection_time)))
    if asked.max_ejection_percent:
        found.max_ejection_percent.value = asked.max_ejection_percent
    server_errors = asked.consecutive_5xx_errors
    if server_errors is None and asked.consecutive_errors:
        server_errors = asked.consecutive_errors
    if server_errors is not None:
        found.consecutive_5xx.value = server_errors
        found.enforcing_consecutive_5xx.value = 100 if server_errors else 0
    if (gateway_errors := asked.consecutive_gateway_errors) is not None:
        found.consecutive_gateway_failure.value = gateway_errors
        found.enforcing_consecutive_gateway_failure.value = 100 if gateway_errors else 0
    if asked.split_external_local_origin_errors and asked.consecutive_local_origin_failures:
        found.consecutive_local_origin_failure.value = asked.consecutive_local_origin_failures
        found.enforcing_consecutive_local_origin_failure.value = 100
    return found


def errors_matcher(codes: Iterable[str | int]) -> MatchPredicate:
    """Answers that count as errors: `429`, all of `5xx`, or those of `500-503`."""
    rules = []
    for index, code in enumerate(codes):
        with at(f"trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[{index}]"):
            first, last = _codes(str(code).strip())
        status = HeaderMatcher(name=":status", range_match=Int64Range(start=first, end=last + 1))
        rules.append(MatchPredicate(http_response_headers_match=HttpHeadersMatch(headers=[status])))
    return rules[0] if len(rules) == 1 else MatchPredicate(or_match=MatchPredicate.MatchSet(rules=rules))


def _codes(text: str) -> tuple[int, int]:
    """The first and the last of the codes that `text` means."""
    if len(text) == 3 and text[1:].lower() == "xx":
        first, last = f"{text[0]}00", f"{text[0]}99"
    else:
        first, _, last = text.partition("-")
    numbers = [int(each) if each.isdecimal() else 0 for each in (first, last or first)]
    if not 100 <= numbers[0] <= numbers[1] <= 599:
        raise ValueError(f"{text!r} is no status (hint: 429, 5xx or 500-503)")
    return numbers[0], numbers[1]
