"""Fields that others have replaced. They have their effect still, and say so."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.destination_rule import DestinationRule, OutlierDetection
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.load_balancer import LoadBalancerSettings
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding

Used = tuple[str, str]
"""The path of a field, and the one that replaces it."""


def fields_are_replaced(subject: Subject) -> Iterator[Finding]:
    """No field is used that another has replaced."""
    found: Object
    for found in subject.of(VirtualService):
        yield from _told(found, _of_routes(found))
    for found in subject.of(DestinationRule):
        yield from _told(found, _of_policies(found))
    for found in subject.of(GatewayConfig):
        ports = (server.port.target_port for server in found.spec.servers)
        used = ((f"$.spec.servers[{index}].port.targetPort", "") for index, port in enumerate(ports) if port)
        yield from _told(found, used)


def _told(found: Object, used: Iterator[Used]) -> Iterator[Finding]:
    for path, instead in used:
        mend = f"is replaced by {instead}" if instead else "is read no more (hint: leave it out)"
        yield finding(found, path, mend, Code.DEPRECATED)


def _of_routes(found: VirtualService) -> Iterator[Used]:
    for index, route in enumerate(found.spec.http):
        at = f"$.spec.http[{index}]"
        for name, percent in (
            ("mirrorPercent", route.mirror_percent),
            ("mirror_percent", route.mirror_percent_once),
        ):
            if percent is not None:
                yield f"{at}.{name}", "mirrorPercentage"
        if route.cors_policy is not None and route.cors_policy.allow_origin:
            yield f"{at}.corsPolicy.allowOrigin", "allowOrigins"
        delay = route.fault.delay if route.fault is not None else None
        if delay is not None and delay.percent is not None:
            yield f"{at}.fault.delay.percent", "percentage"


def _of_policies(found: DestinationRule) -> Iterator[Used]:
    whole = [("$.spec.trafficPolicy", found.spec.traffic_policy)]
    whole += [
        (f"$.spec.subsets[{index}].trafficPolicy", each.traffic_policy)
        for index, each in enumerate(found.spec.subsets)
    ]
    for at, policy in whole:
        if policy is None:
            continue
        yield from _of_balancer(f"{at}.loadBalancer", policy.load_balancer)
        yield from _of_outliers(f"{at}.outlierDetection", policy.outlier_detection)
        for index, port in enumerate(policy.port_level_settings):
            here = f"{at}.portLevelSettings[{index}]"
            yield from _of_balancer(f"{here}.loadBalancer", port.load_balancer)
            yield from _of_outliers(f"{here}.outlierDetection", port.outlier_detection)


def _of_balancer(at: str, found: LoadBalancerSettings | None) -> Iterator[Used]:
    if found is None:
        return
    if found.simple == "LEAST_CONN":
        yield f"{at}.simple", "LEAST_REQUEST"
    if found.warmup_duration_secs:
        yield f"{at}.warmupDurationSecs", "warmup.duration"
    if found.consistent_hash is not None and found.consistent_hash.minimum_ring_size:
        yield f"{at}.consistentHash.minimumRingSize", "ringHash.minimumRingSize"


def _of_outliers(at: str, found: OutlierDetection | None) -> Iterator[Used]:
    if found is not None and found.consecutive_errors:
        yield f"{at}.consecutiveErrors", "consecutiveGatewayErrors or consecutive5xxErrors"
