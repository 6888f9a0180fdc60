"""What is said of AuthorizationPolicies that cannot be kept as they are written, or are for nobody."""

from __future__ import annotations

import pytest

from isthmus.model.analyze.checks import analyze
from isthmus.translate.offline import read_case

WORLD = """
kind: Cluster
metadata: {name: gke}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.110.0.10, selector: {app: web}, ports: [{port: 80, name: http}, {port: 25, name: tcp-mail}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {serviceAccountName: web}
status: {phase: Running, podIP: 10.10.0.11}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}, {name: tcp-mail, port: 25}]
endpoints: [{addresses: [10.10.0.11], targetRef: {kind: Pod, name: web-1, namespace: default}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
      - {name: gone, envoyExtAuthzGrpc: {service: gone.default.svc.cluster.local, port: 9000}}
      - {name: closed, envoyExtAuthzHttp: {service: web.default.svc.cluster.local, port: 9000}}
      - {name: spans, zipkin: {service: web.default.svc.cluster.local, port: 80}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
"""
ASKING = "action: CUSTOM, rules: [{to: [{operation: {ports: ['80']}}]}], provider: {name: %s}"


def told(spec, meta="name: a"):
    case = read_case(f"{WORLD}metadata: {{{meta}}}\nspec: {{{spec}}}\n")
    generation = case.generation()
    mesh = generation.mesh
    objects = {mesh.settings.config_cluster: {change.key.ref: change.value for change in case.changes}}
    found = analyze(mesh, objects)
    return [
        (each.code.number, each.path, each.message)
        for each in found
        if each.ref.kind == "AuthorizationPolicy"
    ]


@pytest.mark.parametrize(
    ("spec", "code", "path", "message"),
    [
        (
            ASKING % "nobody",
            "ISM0041",
            "provider.name",
            "'nobody' is no extensionProvider of MeshConfig: calls",
        ),
        (ASKING % "spans", "ISM0041", "provider.name", "'spans' is zipkin: calls"),
        (
            ASKING % "gone",
            "ISM0041",
            "provider.name",
            "'gone.default.svc.cluster.local' of 'gone' is no service",
        ),
        (ASKING % "closed", "ISM0041", "provider.name", "of 'closed' has no port 9000"),
        (
            "action: CUSTOM, rules: [{}], provider: {name: closed}",
            *("ISM0042", "provider.name", "connections to port 25 of web-1 are refused"),
        ),
        ("action: DENY", "ISM0007", "rules", "DENY is about no call"),
        ("selector: {matchLabels: {app: wbe}}", "IST0127", "selector.matchLabels", "selects no pod"),
        (
            "targetRefs: [{kind: Service, name: wbe}]",
            "IST0101",
            "targetRefs[0].name",
            "no Service is called default/wbe",
        ),
        (
            "targetRef: {group: networking.istio.io, kind: ServiceEntry, name: out}",
            *("IST0101", "targetRef.name", "no ServiceEntry is called default/out"),
        ),
        (
            "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]",
            *("IST0101", "targetRefs[0].name", "no Gateway is called default/edge"),
        ),
        (
            "targetRefs: [{kind: Service, name: web, namespace: shop}]",
            "ISM0007",
            "targetRefs[0].namespace",
            "own namespace",
        ),
        (
            "rules: [{from: [{source: {namespaces: [shop, shpo]}}]}]",
            *("IST0101", "rules[0].from[0].source.namespaces[1]", "no cluster has a namespace 'shpo'"),
        ),
        (
            "rules: [{from: [{source: {principals: ['spiffe://cluster.local/ns/a/sa/b']}}]}]",
            *("ISM0007", "rules[0].from[0].source.principals[0]", "is nobody (hint: cluster.local/ns/a/sa/b"),
        ),
        (
            "rules: [{to: [{operation: {hosts: ['a*b'], ports: ['80']}}]}]",
            *("ISM0007", "rules[0].to[0].operation.hosts[0]", "'a*b' is matched with a star in it"),
        ),
        (
            "rules: [{when: [{key: cel, values: ['request.size <']}]}]",
            *("ISM0005", "rules[0].when[0].values[0]", "the rule is left out"),
        ),
        (
            "action: DENY, rules: [{when: [{key: cel, notValues: ['f(1)']}]}]",
            *("ISM0005", "rules[0].when[0].notValues[0]", "the rule goes without it"),
        ),
        (
            "rules: [{to: [{operation: {paths: [/a]}}]}]",
            *("ISM0042", "rules[0].to[0].operation.paths", "port 25 of web-1, which speaks"),
        ),
        (
            "action: DENY, rules: [{when: [{key: cel, values: ['request.size > 1']}]}]",
            *("ISM0042", "rules[0].when[0].key", "calls are met there without it"),
        ),
    ],
)
def test_what_cannot_be_kept_is_told_where_it_is_written(spec, code, path, message):
    found = [each for each in told(spec) if each[:2] == (code, f"$.spec.{path}")]
    assert len(found) == 1
    assert message in found[0][2]


def test_what_is_only_reported_on_is_allow_and_deny():
    found = told("action: AUDIT, rules: [{}]", 'name: a, annotations: {istio.io/dry-run: "true"}')
    assert [each[:2] for each in found] == [("ISM0007", "$.metadata.annotations[istio.io/dry-run]")]


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "rules: [{}]",
        "selector: {matchLabels: {app: web}}, rules: [{to: [{operation: {paths: [/a, '/b/{*}/c'], ports: ['80']}}]}]",
        "targetRefs: [{kind: Service, name: web}], rules: [{from: [{source: {namespaces: ['sh*']}}]}]",
        "rules: [{from: [{source: {principals: ['*/sa/x', '*']}}], when: [{key: cel, values: [connection.mtls]}]}]",
    ],
)
def test_of_policies_that_are_kept_nothing_is_said(spec):
    assert told(spec) == []
