"""What is wrong with a ProxyConfig: with its text, and with what Envoy would not start with."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.api.istio.destination_rule_problems import client_tls
from isthmus.api.istio.proxy_config import ProxyConfig, RemoteService, StatsMatcher, Tracing
from isthmus.api.istio.telemetry_problems import tag_problem
from isthmus.kit.ip import host_and_port, is_address

OWN_PORTS = frozenset({15000, 15004, 15008, 15020, 15021, 15053, 15054, 15090})
"""Ports of a pod that its proxy and agent listen at, wherever calls are captured to."""
_USUAL = {"proxyAdminPort": 15000, "statusPort": 15020}


def proxy_problems(found: ProxyConfig | None, at: str) -> Iterator[Problem]:
    """What is wrong with the ProxyConfig at `at`."""
    if found is None:
        return
    yield from _tracing(f"{at}.tracing", found.tracing or Tracing())
    yield from _ports(at, {"proxyAdminPort": found.proxy_admin_port, "statusPort": found.status_port})
    if found.zipkin_address:
        yield from _address(f"{at}.zipkinAddress", found.zipkin_address)
    if found.statsd_udp_address:
        where = host_and_port(found.statsd_udp_address)
        if where is None or not is_address(where[0]):
            yield (
                f"{at}.statsdUdpAddress",
                f"is {found.statsd_udp_address!r} (hint: an IP address and a port)",
            )
    yield from _remote(f"{at}.envoyMetricsService", found.envoy_metrics_service)
    yield from _remote(f"{at}.envoyAccessLogService", found.envoy_access_log_service)
    yield from _stats(f"{at}.proxyStatsMatcher", found.proxy_stats_matcher or StatsMatcher())
    yield from _empty(f"{at}.extraStatTags", found.extra_stat_tags)


def client_tls_of_proxies(at: str, tls: ClientTLSSettings | None) -> Iterator[Problem]:
    """What is wrong with how something outside of the mesh is spoken to by whatever proxy."""
    if tls is not None:
        yield from client_tls(at, tls)


def _tracing(at: str, found: Tracing) -> Iterator[Problem]:
    for name, tag in found.custom_tags.items():
        yield from tag_problem(f"{at}.customTags.{name}", tag)
    yield from client_tls_of_proxies(f"{at}.tlsSettings", found.tls_settings)
    for name, collector in (("zipkin", found.zipkin), ("datadog", found.datadog)):
        if collector is not None:
            yield from _address(f"{at}.{name}.address", collector.address)


def _remote(at: str, found: RemoteService | None) -> Iterator[Problem]:
    if found is not None:
        yield from _address(f"{at}.address", found.address)
        yield from client_tls_of_proxies(f"{at}.tlsSettings", found.tls_settings)


def _address(at: str, text: str) -> Iterator[Problem]:
    where = host_and_port(text)
    if where is None or "*" in where[0] or any(texts.host(at, where[0])):
        yield at, f"{text!r} is no address (hint: host:port)"


def _ports(at: str, given: dict[str, int]) -> Iterator[Problem]:
    for name, port in given.items():
        if port and port != _USUAL[name] and (port in OWN_PORTS or port in {15001, 15006}):
            yield f"{at}.{name}", f"{port} is another port of the proxy's own (hint: another port)"
    if given["proxyAdminPort"] and given["proxyAdminPort"] == given["statusPort"]:
        yield f"{at}.statusPort", "is that of proxyAdminPort (hint: another port)"


def _stats(at: str, found: StatsMatcher) -> Iterator[Problem]:
    for index, text in enumerate(found.inclusion_regexps):
        if text:
            yield from texts.regex(f"{at}.inclusionRegexps[{index}]", text)
    yield from _empty(f"{at}.inclusionPrefixes", found.inclusion_prefixes)
    yield from _empty(f"{at}.inclusionSuffixes", found.inclusion_suffixes)
    yield from _empty(f"{at}.inclusionRegexps", found.inclusion_regexps)


def _empty(at: str, listed: tuple[str, ...]) -> Iterator[Problem]:
    for index, text in enumerate(listed):
        if not text:
            yield f"{at}[{index}]", "is empty: Envoy would not start"
