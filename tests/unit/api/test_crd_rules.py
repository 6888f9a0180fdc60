"""Each rule in CEL refuses something that the decoder refuses as well, and says so in words of ours."""

from __future__ import annotations

import pytest
import yaml

from fakes.defined import causes
from fakes.live_cluster import live_cluster
from isthmus.api import KINDS
from isthmus.api.crd import custom_resource_definitions
from isthmus.api.crd_rules import RULES
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Refused

TO = "{destination: {host: a}}"
ROUTED = f"hosts: [a], http: [{{route: [{TO}], %s}}]"
POLICY = "host: a, trafficPolicy: {%s}"
SERVED = "servers: [{hosts: ['*'], port: {number: 443, name: a, protocol: %s}, %s}]"
ENTRY = "hosts: [a.example], ports: [{number: 80, name: http}], %s"
BOTH = "selector: {matchLabels: {app: a}}, targetRefs: [{kind: Service, group: core, name: a}]"
WRONG = (
    ("VirtualService", "tcp: []"),
    ("VirtualService", f"http: [{{route: [{TO}]}}], gateways: [a]"),
    ("VirtualService", ROUTED % "redirect: {uri: /a}"),
    ("VirtualService", "hosts: [a], http: [{match: [{port: 80}]}]"),
    ("VirtualService", "hosts: [a], http: [{redirect: {uri: /a}, directResponse: {status: 200}}]"),
    ("VirtualService", "hosts: [a], http: [{redirect: {uri: /a}, rewrite: {uri: /b}}]"),
    ("VirtualService", ROUTED % "mirror: {host: a}, mirrors: [{destination: {host: b}}]"),
    ("VirtualService", ROUTED % "match: [{uri: {exact: /a, prefix: /a}}]"),
    ("VirtualService", ROUTED % "match: [{headers: {a: {prefix: /a, regex: a}}}]"),
    ("VirtualService", "hosts: [a], http: [{redirect: {uri: /a, prefixRewrite: /b}}]"),
    ("VirtualService", "hosts: [a], http: [{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}]"),
    ("VirtualService", ROUTED % "rewrite: {uri: /a, uriRegexRewrite: {match: a}}"),
    ("VirtualService", ROUTED % "fault: {}"),
    ("VirtualService", ROUTED % "fault: {abort: {httpStatus: 503, grpcStatus: '14'}}"),
    ("VirtualService", "hosts: [a], http: [{route: [{destination: {host: a, port: {}}}]}]"),
    ("DestinationRule", POLICY % "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}"),
    ("DestinationRule", POLICY % "loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}"),
    ("DestinationRule", POLICY % "loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}}"),
    (
        "DestinationRule",
        POLICY % "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {}, maglev: {}}}",
    ),
    (
        "DestinationRule",
        POLICY % "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b: 100}}], "
        "failover: [{from: a, to: b}]}}",
    ),
    (
        "DestinationRule",
        POLICY
        % "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b: 100}}], failoverPriority: [a]}}",
    ),
    ("DestinationRule", POLICY % "tls: {mode: MUTUAL}"),
    ("DestinationRule", POLICY % "tls: {mode: ISTIO_MUTUAL, privateKey: /a}"),
    ("DestinationRule", POLICY % "tls: {mode: SIMPLE, credentialName: a, caCertificates: /a}"),
    (
        "DestinationRule",
        POLICY % "connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}",
    ),
    ("DestinationRule", POLICY % "outlierDetection: {consecutiveLocalOriginFailures: 3}"),
    ("DestinationRule", POLICY % "tunnel: {targetHost: a, targetPort: 80}, proxyProtocol: {}"),
    ("DestinationRule", POLICY % "portLevelSettings: [{tls: {mode: DISABLE}}]"),
    ("Gateway", SERVED % ("HTTPS", "name: a")),
    ("Gateway", SERVED % ("HTTP", "tls: {mode: SIMPLE, credentialName: a}")),
    ("Gateway", SERVED % ("tls", "tls: {mode: SIMPLE}")),
    ("Gateway", SERVED % ("HTTPS", "tls: {mode: SIMPLE, credentialName: a, credentialNames: [a, b]}")),
    ("Sidecar", "ingress: [{port: {name: a}, defaultEndpoint: '127.0.0.1:80'}]"),
    ("Sidecar", "ingress: [{port: {number: 80, name: a}, captureMode: NONE}]"),
    ("Sidecar", "outboundTrafficPolicy: {egressProxy: {host: a, port: {number: 80}}}"),
    ("Sidecar", "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a}}"),
    (
        "ServiceEntry",
        ENTRY % "resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}",
    ),
    ("ServiceEntry", ENTRY % "endpoints: [{address: 10.0.0.1}]"),
    ("ServiceEntry", ENTRY % "resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: b.b}]"),
    ("ServiceEntry", ENTRY % "resolution: DYNAMIC_DNS"),
    ("WorkloadGroup", "template: {address: 10.0.0.1}"),
    ("WorkloadGroup", "template: {}, probe: {httpGet: {port: 80}, tcpSocket: {port: 80}}"),
    ("PeerAuthentication", "portLevelMtls: {'80': {mode: STRICT}}"),
    ("PeerAuthentication", "selector: {matchLabels: {app: a}}, portLevelMtls: {'65536': {mode: STRICT}}"),
    ("PeerAuthentication", "selector: {matchLabels: {app: a}}, portLevelMtls: {http: {mode: STRICT}}"),
    ("AuthorizationPolicy", BOTH),
    ("AuthorizationPolicy", "selector: {}"),
    ("AuthorizationPolicy", "action: CUSTOM"),
    ("AuthorizationPolicy", "action: DENY, provider: {name: a}"),
    ("AuthorizationPolicy", "rules: [{from: [{source: {serviceAccounts: [a], notNamespaces: [b]}}]}]"),
    ("AuthorizationPolicy", "rules: [{when: [{key: source.namespace}]}]"),
    ("RequestAuthentication", BOTH),
    ("RequestAuthentication", "jwtRules: [{issuer: a, jwksUri: 'https://a/b', jwks_uri: 'https://a/b'}]"),
    ("RequestAuthentication", "jwtRules: [{issuer: a, jwksUri: 'https://a/b', jwks: '{\"keys\": []}'}]"),
    ("Telemetry", BOTH),
    ("Telemetry", "selector: {}"),
    ("Telemetry", "metrics: [{overrides: [{match: {metric: REQUEST_COUNT, customMetric: a}}]}]"),
    ("Telemetry", "metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: b}}}]}]"),
    ("Telemetry", "metrics: [{overrides: [{tagOverrides: {a: {}}}]}]"),
    ("Telemetry", "tracing: [{customTags: {a: {literal: {value: b}, header: {name: c}}}}]"),
    ("ProxyConfig", "selector: {}, concurrency: 1"),
    (
        "EnvoyFilter",
        (
            "workloadSelector: {labels: {a: b}}, targetRefs: [{kind: Service, name: a}], "
            "configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {a: b}}}]"
        ),
    ),
    ("EnvoyFilter", "configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE}}]"),
    ("WasmPlugin", f"url: file:///a, {BOTH}"),
    ("WasmPlugin", "url: file:///a, vmConfig: {env: [{name: a, valueFrom: HOST, value: b}]}"),
)
KIND = {kind.name: kind for kind in reversed(KINDS) if kind.group.endswith("istio.io")}
MESSAGES = {rule.message for rules in RULES.values() for rule in rules}


def said(cause):
    """The rule's own words in what an API server says."""
    return cause.message.rpartition("evaluating rule: ")[2].rpartition('": ')[2]


def wrong(name, spec):
    return {
        "apiVersion": KIND[name].api_version,
        "kind": name,
        "metadata": {"name": "wrong", "namespace": "default"},
        "spec": yaml.safe_load(f"{{{spec}}}"),
    }


@pytest.mark.parametrize(("name", "spec"), WRONG)
def test_what_a_rule_refuses_is_refused_by_the_decoder_too(name, spec):
    found = causes(wrong(name, spec))
    assert [each for each in found if said(each) in MESSAGES]
    with pytest.raises(InvalidConfig):
        decode(KIND[name], wrong(name, spec))


def test_each_rule_refuses_something():
    said = [cause.message for name, spec in WRONG for cause in causes(wrong(name, spec))]
    assert [message for message in MESSAGES if not any(each.endswith(message) for each in said)] == []


def test_rules_are_told_in_one_line_with_a_mend_where_one_is_not_seen():
    assert [each for each in MESSAGES if "\n" in each or each != each.strip() or each.endswith(".")] == []


@pytest.mark.timeout(240)
async def test_an_api_server_refuses_what_rules_refuse_in_the_same_places(tmp_path, api_server):
    has = custom_resource_definitions()
    async with live_cluster(tmp_path, has) as cluster, Client(cluster.access) as client:
        for name, spec in WRONG:
            kind = KIND[name]
            with pytest.raises(Refused) as caught:
                await client.request(
                    "POST", path_of(kind, "default"), query={"dryRun": "All"}, body=wrong(name, spec)
                )
            assert caught.value.code == 422
            for cause in causes(wrong(name, spec)):
                assert cause.path in str(caught.value), (name, spec)
                assert said(cause) in str(caught.value)
