"""Whatever an EnvoyFilter says: translation goes on, and Envoy takes what is sent."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.bookinfo import BOOKINFO, DESTINATION_RULE, GATEWAY, VIRTUAL_SERVICE, objects, pod, service
from fakes.static_envoy import static_bootstrap
from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.envoy_filter import APPLY_TO, CONTEXTS, FILTER_CLASSES, OPERATIONS, ROUTE_ACTIONS
from isthmus.api.istio.envoy_filter_problems import ALLOWED
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.rules import violations
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Translator
from isthmus.translate.types import ENVOY_TYPES

KIND = kind_named("EnvoyFilter")
PROXIES = (
    Proxy(
        kind=ProxyKind.SIDECAR, address="10.10.0.11", name="a", namespace="default", cluster=ClusterId("gke")
    ),
    Proxy(
        kind=ProxyKind.ROUTER,
        address="10.10.0.9",
        name="b",
        namespace="default",
        cluster=ClusterId("gke"),
        labels=(("istio", "ingress"),),
    ),
)
INGRESS = [
    service("ingress", "10.110.0.9", "{port: 80, targetPort: 8080, name: http}").replace(
        "app: ingress", "istio: ingress"
    ),
    pod("gateway", "10.10.0.9").replace("app: reviews", "istio: ingress"),
]
MESH = objects(gke=[*BOOKINFO["gke"], DESTINATION_RULE, VIRTUAL_SERVICE, GATEWAY, *INGRESS])

_ENVOY = "type.googleapis.com/envoy.extensions.filters"
TYPED = st.sampled_from(
    [
        {"@type": f"{_ENVOY}.http.lua.v3.Lua", "default_source_code": {"inline_string": "-- a"}},
        {"@type": f"{_ENVOY}.http.router.v3.Router", "dynamic_stats": False},
        {"@type": f"{_ENVOY}.http.cors.v3.Cors"},
        {"@type": f"{_ENVOY}.http.fault.v3.HTTPFault", "abort": {"http_status": 99}},
        {"@type": f"{_ENVOY}.network.echo.v3.Echo"},
        {"@type": f"{_ENVOY}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "y"},
        {
            "@type": f"{_ENVOY}.network.http_connection_manager.v3.HttpConnectionManager",
            "stream_idle_timeout": "3s",
        },
        {"@type": f"{_ENVOY}.listener.tls_inspector.v3.TlsInspector"},
        {"@type": "type.googleapis.com/no.such.Type"},
        {"@type": 3},
        {},
    ]
)
NAMES = st.sampled_from(
    [
        *("", "own", "0.0.0.0_9080", "virtualInbound", "virtualOutbound", "9080", "http.8080", "allow_any"),
        *("envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy", "envoy.router"),
        *("envoy.filters.http.router", "envoy.filters.http.cors", "envoy.filters.listener.tls_inspector"),
        *("reviews.default.svc.cluster.local:9080", "outbound|9080||reviews.default.svc.cluster.local"),
        *("BlackHoleCluster", "PassthroughCluster", "inbound|9080||", "default"),
    ]
)
PORTS = st.sampled_from([0, 80, 8080, 9080, 9999, 15001, 15006, 27017])
DURATIONS = st.sampled_from(["1s", "0.5s", "-1s", "0s", "soon", "99999999999999s", 3, None])


def parts(**fields):
    return st.fixed_dictionaries({}, optional=fields)


FILTER = parts(name=NAMES, typed_config=TYPED, typedConfig=TYPED, config_discovery=parts())
ROUTE = parts(
    name=NAMES,
    match=parts(prefix=st.sampled_from(["/", ""]), path=st.just("/a"), safe_regex=parts(regex=st.just("("))),
    route=parts(cluster=NAMES, timeout=DURATIONS),
    redirect=parts(host_redirect=NAMES),
    direct_response=parts(status=st.sampled_from([0, 200, 999, "x"])),
)
HOST = parts(
    name=NAMES,
    domains=st.lists(st.sampled_from(["*", "reviews", "Reviews", "own.example", ""]), max_size=2),
    routes=st.lists(ROUTE, max_size=2),
    request_headers_to_remove=st.lists(st.sampled_from(["x-a", ":path", ""]), max_size=2),
)
CHAIN = parts(
    name=NAMES,
    filter_chain_match=parts(
        destination_port=PORTS, transport_protocol=st.sampled_from(["tls", "raw_buffer"])
    ),
    filters=st.lists(FILTER, max_size=2),
    transport_socket=FILTER,
)
LISTENER = parts(
    name=NAMES,
    address=parts(
        socket_address=parts(address=st.sampled_from(["0.0.0.0", "127.0.0.1", "x"]), port_value=PORTS)
    ),
    filter_chains=st.lists(CHAIN, max_size=2),
    listener_filters=st.lists(FILTER, max_size=1),
    listener_filters_timeout=DURATIONS,
    use_original_dst=st.booleans(),
)
UPSTREAM = parts(
    name=NAMES,
    type=st.sampled_from(["EDS", "STATIC", "ORIGINAL_DST", "STRICT_DNS", "NONE", 7]),
    connect_timeout=DURATIONS,
    lb_policy=st.sampled_from(["RING_HASH", "CLUSTER_PROVIDED", "ROUND_ROBIN"]),
    transport_socket=FILTER,
    circuit_breakers=parts(thresholds=st.lists(parts(max_connections=st.integers(-1, 9)), max_size=1)),
)
VALUES = st.one_of(
    FILTER,
    ROUTE,
    HOST,
    CHAIN,
    LISTENER,
    UPSTREAM,
    parts(virtual_hosts=st.lists(HOST, max_size=2), validate_clusters=st.booleans()),
    st.dictionaries(NAMES, st.recursive(st.none() | st.integers() | NAMES, st.lists), max_size=2),
)
BY_OBJECT = {
    "LISTENER": LISTENER,
    "FILTER_CHAIN": CHAIN,
    "NETWORK_FILTER": FILTER,
    "HTTP_FILTER": FILTER,
    "LISTENER_FILTER": FILTER,
    "VIRTUAL_HOST": HOST,
    "HTTP_ROUTE": ROUTE,
    "CLUSTER": UPSTREAM,
    "EXTENSION_CONFIG": FILTER,
}
MATCHES = {
    "listener": parts(
        name=NAMES,
        portNumber=PORTS,
        listenerFilter=NAMES,
        filterChain=parts(
            name=NAMES,
            destinationPort=PORTS,
            applicationProtocols=st.sampled_from(["istio", "istio,istio-h2", ","]),
            filter=parts(name=NAMES, subFilter=parts(name=NAMES)),
        ),
    ),
    "routeConfiguration": parts(
        name=NAMES,
        portNumber=PORTS,
        gateway=NAMES,
        vhost=parts(
            name=NAMES, domainName=NAMES, route=parts(name=NAMES, action=st.sampled_from(ROUTE_ACTIONS))
        ),
    ),
    "cluster": parts(name=NAMES, service=NAMES, portNumber=PORTS, subset=NAMES),
}
SELECTED_BY = {
    **dict.fromkeys(
        ["LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "LISTENER_FILTER"], "listener"
    ),
    **dict.fromkeys(["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"], "routeConfiguration"),
    "CLUSTER": "cluster",
}


@st.composite
def patches(draw):
    to = draw(st.sampled_from(APPLY_TO))
    match = {"context": draw(st.sampled_from(CONTEXTS[:4]))}
    if to in SELECTED_BY and draw(st.booleans()):
        match[SELECTED_BY[to]] = draw(MATCHES[SELECTED_BY[to]])
    return {
        "applyTo": to,
        "match": match,
        "patch": {
            "operation": draw(st.sampled_from([*sorted(ALLOWED[to]), draw(st.sampled_from(OPERATIONS))])),
            "value": draw(st.one_of(*[BY_OBJECT.get(to, VALUES)] * 5, VALUES)),
            "filterClass": draw(st.sampled_from(FILTER_CLASSES)),
        },
    }


def read(drawn):
    """The EnvoyFilter of those patches that are well-formed; others the API refuses, and says why."""
    kept = []
    for patch in drawn:
        spec = {"configPatches": [patch]}
        try:
            decode(KIND, {"metadata": {"name": "a", "namespace": "default"}, "spec": spec})
        except InvalidConfig:
            continue
        kept.append(patch)
    return decode(
        KIND, {"metadata": {"name": "drawn", "namespace": "default"}, "spec": {"configPatches": kept}}
    )


def generation_with(found):
    builder = MeshBuilder(MeshSettings(config_cluster=ClusterId("gke")))
    change = Change(ChangeKey(ClusterId("gke"), KIND.ref(found.metadata)), found)
    step = builder.apply([*MESH, change])
    return Translator().generation(step.mesh, step.delta)


@settings(max_examples=150, deadline=None)
@given(st.lists(patches(), min_size=1, max_size=4))
def test_translation_goes_on_and_no_rule_of_envoy_is_broken(drawn):
    generation = generation_with(read(drawn))
    for proxy in PROXIES:
        for type_url in ENVOY_TYPES:
            for one in generation.resources(proxy, type_url, None):
                assert violations(class_of_url(type_url).FromString(one.body)) == [], one.name
    assert all(found.message for found in generation.findings)


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.kind.value)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(drawn=st.lists(patches(), min_size=1, max_size=3))
def test_envoy_takes_what_is_left(proxy, drawn):
    generation = generation_with(read(drawn))
    resources = {url: list(generation.resources(proxy, url, None)) for url in ENVOY_TYPES}
    bootstrap = static_bootstrap(resources)
    validate(envoy_executable(), json_format.MessageToJson(bootstrap, descriptor_pool=pool()))
