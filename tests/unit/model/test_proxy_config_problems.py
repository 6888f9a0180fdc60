"""What an Envoy would not start with is told where a ProxyConfig says it."""

from __future__ import annotations

import pytest

from isthmus.api.errors import InvalidConfig
from isthmus.model.proxy_config import read_proxy_config

WRONG = {
    "proxyStatsMatcher: {inclusionPrefixes: [a, '']}": "$.proxyStatsMatcher.inclusionPrefixes[1]",
    "proxyStatsMatcher: {inclusionRegexps: ['(']}": "$.proxyStatsMatcher.inclusionRegexps[0]",
    "extraStatTags: ['']": "$.extraStatTags[0]",
    "concurrency: 99999999999": "$.concurrency",
    "gatewayTopology: {numTrustedProxies: 99999999999}": "$.gatewayTopology.numTrustedProxies",
    "fileFlushInterval: 1ns": "$.fileFlushInterval",
    "proxyAdminPort: 15090": "$.proxyAdminPort",
    "{proxyAdminPort: 9000, statusPort: 9000}": "$.statusPort",
    "statsdUdpAddress: 'statsd:9125'": "$.statsdUdpAddress",
    "zipkinAddress: zipkin": "$.zipkinAddress",
    "tracing: {zipkin: {address: 'a b:9411'}}": "$.tracing.zipkin.address",
    "tracing: {customTags: {a: {}}}": "$.tracing.customTags.a",
    "envoyMetricsService: {address: 'a:1', tlsSettings: {mode: MUTUAL, privateKey: k}}": (
        "$.envoyMetricsService.tlsSettings.clientCertificate"
    ),
}
RIGHT = (
    "{proxyAdminPort: 15000, statusPort: 15020}",
    "statsdUdpAddress: '[::1]:9125'",
    "envoyMetricsService: {address: '[::1]:1', tlsSettings: {mode: SIMPLE}}",
    "zipkinAddress: zipkin.istio-system:9411",
)


@pytest.mark.parametrize(("text", "path"), WRONG.items())
def test_it_is_told_with_its_path(text, path):
    with pytest.raises(InvalidConfig) as told:
        read_proxy_config(text)
    assert [each for each, _ in told.value.problems] == [path]


@pytest.mark.parametrize("text", RIGHT)
def test_what_envoy_takes_is_read(text):
    _, silent = read_proxy_config(text)
    assert not silent


def test_a_secret_of_a_tracer_is_told_and_all_else_holds():
    tls = "{mode: MUTUAL, credentialName: mine, sni: spans}"
    found, silent = read_proxy_config(f"{{concurrency: 3, tracing: {{sampling: 9, tlsSettings: {tls}}}}}")
    assert [path for path, _ in silent] == ["$.tracing.tlsSettings.credentialName"]
    assert (found.concurrency, found.tracing.sampling) == (3, 9)
    kept = found.tracing.tls_settings
    assert (kept.mode, kept.credential_name, kept.sni) == ("SIMPLE", "", "spans")
