"""What is wrong with a DestinationRule by itself. Source: Istio's DestinationRule reference."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.balancer_problems import balancer
from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    DestinationRule,
    OutlierDetection,
    PortTrafficPolicy,
    TrafficPolicy,
)

_TLS_MODES = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
_UPGRADES = ("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")
MOST_POLICIES = 512
"""How many subsets a rule may have, and ports a policy: with more the API server could not check each of them."""
_SUBSET = re.compile(r"[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?")


def problems(found: DestinationRule) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    yield from texts.host("$.spec.host", spec.host)
    yield from texts.export_to("$.spec.exportTo", spec.export_to)
    if spec.workload_selector is not None:
        yield from labels("$.spec.workloadSelector.matchLabels", spec.workload_selector.match_labels)
    yield from _policy("$.spec.trafficPolicy", spec.traffic_policy)
    yield from _many("$.spec.subsets", len(spec.subsets))
    seen: set[str] = set()
    for index, subset in enumerate(spec.subsets):
        at = f"$.spec.subsets[{index}]"
        if not subset.name:
            yield f"{at}.name", "is empty"
        elif not _SUBSET.fullmatch(subset.name):
            yield f"{at}.name", f"{subset.name!r} is no name (hint: letters, digits and -)"
        if subset.name in seen:
            yield f"{at}.name", f"{subset.name!r} stands twice (hint: give each subset a name of its own)"
        seen.add(subset.name)
        yield from labels(f"{at}.labels", subset.labels)
        yield from _policy(f"{at}.trafficPolicy", subset.traffic_policy)


def _many(at: str, count: int) -> Iterator[Problem]:
    if count > MOST_POLICIES:
        yield at, f"are {count} (hint: {MOST_POLICIES} at the most; a rule of their own for other hosts)"


def _policy(at: str, policy: TrafficPolicy | PortTrafficPolicy | None) -> Iterator[Problem]:
    if policy is None:
        return
    if policy.load_balancer is not None:
        yield from balancer(f"{at}.loadBalancer", policy.load_balancer)
    if policy.connection_pool is not None:
        yield from _pool(f"{at}.connectionPool", policy.connection_pool)
    if policy.outlier_detection is not None:
        yield from _outliers(f"{at}.outlierDetection", policy.outlier_detection)
    if policy.tls is not None:
        yield from client_tls(f"{at}.tls", policy.tls)
    if isinstance(policy, TrafficPolicy):
        yield from _of_whole(at, policy)


def _of_whole(at: str, policy: TrafficPolicy) -> Iterator[Problem]:
    """What only a policy for all ports has."""
    yield from _many(f"{at}.portLevelSettings", len(policy.port_level_settings))
    seen: set[int] = set()
    for index, each in enumerate(policy.port_level_settings):
        here, number = f"{at}.portLevelSettings[{index}]", each.port.number if each.port is not None else 0
        if not number:
            yield f"{here}.port.number", "is missing (hint: the port of the service that this is for)"
        elif number in seen:
            yield f"{here}.port.number", f"{number} stands twice (hint: put both into one entry)"
        seen.add(number)
        yield from _policy(here, each)
    if policy.tunnel is not None:
        tunnel = policy.tunnel
        yield from texts.word(f"{at}.tunnel.protocol", tunnel.protocol, ("CONNECT", "POST"))
        if not tunnel.target_host:
            yield f"{at}.tunnel.targetHost", "is empty (hint: where the tunnel leads)"
        if policy.proxy_protocol is not None:
            yield f"{at}.proxyProtocol", "stands beside tunnel (hint: one of the two)"
    if policy.proxy_protocol is not None:
        yield from texts.word(f"{at}.proxyProtocol.version", policy.proxy_protocol.version, ("V1", "V2"))


def _pool(at: str, pool: ConnectionPoolSettings) -> Iterator[Problem]:
    http = pool.http
    if http is None:
        return
    yield from texts.word(f"{at}.http.h2UpgradePolicy", http.h2_upgrade_policy, _UPGRADES)
    if http.use_client_protocol and http.h2_upgrade_policy == "UPGRADE":
        yield f"{at}.http.useClientProtocol", "stands beside h2UpgradePolicy UPGRADE (hint: one of the two)"


def _outliers(at: str, found: OutlierDetection) -> Iterator[Problem]:
    if found.consecutive_local_origin_failures and not found.split_external_local_origin_errors:
        hint = "hint: splitExternalLocalOriginErrors: true"
        yield f"{at}.consecutiveLocalOriginFailures", f"counts only what is told apart ({hint})"
    for name, text in (("interval", found.interval), ("baseEjectionTime", found.base_ejection_time)):
        if text in {"0", "0s", "0ms"}:
            yield f"{at}.{name}", f"is {text} (hint: more, or leave it out for the usual)"


def client_tls(at: str, tls: ClientTLSSettings) -> Iterator[Problem]:
    """Everything that is wrong with how something is spoken to; the mesh's settings have it as well."""
    yield from texts.word(f"{at}.mode", tls.mode, _TLS_MODES)
    files = {
        "clientCertificate": tls.client_certificate,
        "privateKey": tls.private_key,
        "caCertificates": tls.ca_certificates,
    }
    said = [name for name, value in files.items() if value]
    if tls.mode == "MUTUAL" and not tls.credential_name:
        for name in ("clientCertificate", "privateKey"):
            if name not in said:
                yield (
                    f"{at}.{name}",
                    "is missing in mode MUTUAL (hint: a file beside Envoy, or credentialName)",
                )
    if tls.mode == "ISTIO_MUTUAL":
        for name in said:
            yield (
                f"{at}.{name}",
                "stands beside ISTIO_MUTUAL, which has certificates of its own (hint: leave it out)",
            )
    if tls.credential_name and said:
        yield f"{at}.credentialName", f"stands beside {said[0]} (hint: one of the two)"
