"""EnvoyFilter by itself: every field is read, and what is wrong is said with its path and the mend."""

from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents

EVERYTHING = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: everything, namespace: default}
spec:
  workloadSelector: {labels: {app: reviews}}
  priority: -7
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        proxy: {proxyVersion: '^1\\.2', metadata: {A: b}}
        listener:
          name: virtualInbound
          portNumber: 8080
          portName: http
          filterChain:
            name: a
            sni: b.example
            transportProtocol: tls
            applicationProtocols: h2,http/1.1
            destinationPort: 8080
            filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}
      patch: {operation: INSERT_BEFORE, filterClass: AUTHZ, value: {name: x}}
    - applyTo: HTTP_ROUTE
      match:
        routeConfiguration:
          name: "80"
          portNumber: 80
          portName: http
          gateway: a/b
          vhost: {name: v, domainName: d, route: {name: r, action: ROUTE}}
      patch: {operation: REMOVE}
    - applyTo: CLUSTER
      match: {cluster: {name: c, service: s, portNumber: 1, subset: v1}}
      patch: {operation: MERGE_AND_REPLACE_LIST, value: {}}
    - applyTo: LISTENER_FILTER
      match: {listener: {listenerFilter: envoy.filters.listener.tls_inspector}}
      patch: {operation: REPLACE, value: {name: x}}
"""


def read(text):
    (found,) = documents(text)
    return decode(kind_named("EnvoyFilter"), found.value)


def wrong(patch, spec=""):
    text = f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: a, namespace: default}}
spec: {{{spec}configPatches: [{patch}]}}
"""
    with pytest.raises(InvalidConfig) as raised:
        read(text)
    return [f"{path.removeprefix('$.spec.')}: {message}" for path, message in raised.value.problems]


def test_every_field_is_read():
    spec = read(EVERYTHING).spec
    assert spec.workload_selector.labels == {"app": "reviews"}
    assert spec.priority == -7
    first, second, third, fourth = spec.config_patches
    assert first.match.proxy.metadata == {"A": "b"}
    assert first.match.listener.filter_chain.filter.sub_filter.name == "envoy.filters.http.router"
    assert first.patch.filter_class == "AUTHZ"
    assert second.match.route_configuration.vhost.route.action == "ROUTE"
    assert third.match.cluster.subset == "v1"
    assert third.patch.operation == "MERGE_AND_REPLACE_LIST"
    assert fourth.match.listener.listener_filter == "envoy.filters.listener.tls_inspector"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (
            "{applyTo: HTTP_FILTERS, patch: {operation: REMOVE}}",
            "configPatches[0].applyTo: is 'HTTP_FILTERS' (hint: did you mean HTTP_FILTER?)",
        ),
        (
            "{applyTo: CLUSTER, patch: {operation: insert_frist, value: {}}}",
            "configPatches[0].patch.operation: is 'insert_frist' (hint: did you mean INSERT_FIRST?)",
        ),
        ("{applyTo: CLUSTER}", "configPatches[0].patch: is missing"),
        (
            "{applyTo: CLUSTER, patch: {operation: ADD}}",
            "configPatches[0].patch.value: is missing (hint: what to add)",
        ),
        (
            "{applyTo: CLUSTER, match: {context: INBOUND}, patch: {operation: REMOVE}}",
            "configPatches[0].match.context: is 'INBOUND' (hint: did you mean SIDECAR_INBOUND?)",
        ),
        (
            "{applyTo: ROUTE_CONFIGURATION, patch: {operation: REMOVE}}",
            (
                "configPatches[0].patch.operation: REMOVE means nothing for ROUTE_CONFIGURATION "
                "(hint: one of MERGE, MERGE_AND_REPLACE_LIST)"
            ),
        ),
        (
            "{applyTo: CLUSTER, match: {listener: {name: a}}, patch: {operation: REMOVE}}",
            "configPatches[0].match.listener: cannot select what CLUSTER patches (hint: match.cluster)",
        ),
        (
            "{applyTo: CLUSTER, match: {proxy: {proxyVersion: '1(?=2)'}}, patch: {operation: REMOVE}}",
            (
                "configPatches[0].match.proxy.proxyVersion: '1(?=2)' is no regular expression of RE2: "
                "invalid perl operator: (?= (hint: see its syntax, github.com/google/re2/wiki/Syntax)"
            ),
        ),
        (
            (
                "{applyTo: NETWORK_FILTER, match: {listener: {filterChain: {filter: {name: envoy.filters.network."
                "http_connection_manager, subFilter: {name: a}}}}}, patch: {operation: REMOVE}}"
            ),
            "configPatches[0].match.listener.filterChain.filter.subFilter: is for applyTo HTTP_FILTER alone",
        ),
        (
            (
                "{applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.tcp_proxy, "
                "subFilter: {name: a}}}}}, patch: {operation: REMOVE}}"
            ),
            (
                "configPatches[0].match.listener.filterChain.filter.name: has no HTTP filters "
                "(hint: envoy.filters.network.http_connection_manager)"
            ),
        ),
        (
            "{applyTo: LISTENER_FILTER, match: {listener: {filterChain: {name: a}}}, patch: {operation: REMOVE}}",
            (
                "configPatches[0].match.listener.filterChain: does not select listener filters "
                "(hint: listenerFilter: its name)"
            ),
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_path_and_the_mend(patch, said):
    assert wrong(patch) == [said]


def test_all_that_is_wrong_is_said_at_once():
    said = wrong(
        "{applyTo: X, patch: {operation: Y}}",
        "workloadSelector: {labels: {}}, targetRefs: [{kind: Gateway}], ",
    )
    assert [each.partition(": ")[0] for each in said] == [
        "targetRefs",
        "workloadSelector.labels",
        "targetRefs[0]",
        "configPatches[0].applyTo",
        "configPatches[0].patch.operation",
    ]
