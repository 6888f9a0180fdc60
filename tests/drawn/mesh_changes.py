"""Changes of a mesh in several clusters as they arrive: objects of many kinds, of which not all go together."""

from __future__ import annotations

from hypothesis import strategies as st

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.change import Change, ChangeKey, cluster_ref
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

CLUSTERS = [ClusterId("gke"), ClusterId("onprem"), ClusterId("third")]
SETTINGS = MeshSettings(config_cluster=CLUSTERS[0])
NAMES = ("a", "b")
OF_A = "a.default.svc.cluster.local"
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
NETWORK = "topology.istio.io/network"
NODES = ("n1", "n2")
ENDPOINT = {"address": ADDRESSES[0], "labels": {"app": "a", "security.istio.io/tlsMode": "istio"}}
GATEWAY = "Gateway.gateway.networking.k8s.io"

ports = st.sampled_from(
    [
        [{"port": 80, "name": "http"}],
        [{"port": 81, "name": "http", "appProtocol": "grpc"}],
        [{"port": 80, "name": "web"}, {"port": 90, "name": "grpc"}],
        [{"port": 80, "name": "dns-tcp"}, {"port": 80, "name": "dns", "protocol": "UDP"}],
    ]
)


def meta(name, **more):
    return {"name": name, "namespace": "default", **more}


services = st.builds(
    lambda name, ports, ip, created: (
        "Service",
        {
            "metadata": meta(name, creationTimestamp=created),
            "spec": {"ports": ports, "clusterIP": ip, "selector": {"app": name}},
        },
    ),
    st.sampled_from(NAMES),
    ports,
    st.sampled_from(["10.1.0.1", "None"]),
    st.sampled_from(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]),
)
pods = st.builds(
    lambda name, ip, version, node, created, tls, phase: (
        "Pod",
        {
            "metadata": meta(
                name,
                labels={"version": version} | ({"security.istio.io/tlsMode": "istio"} if tls else {}),
                creationTimestamp=created,
                uid=name,
            ),
            "spec": {"nodeName": node, "serviceAccountName": version},
            "status": {"podIP": ip, "phase": phase},
        },
    ),
    st.sampled_from(["p1", "p2", "p3"]),
    st.sampled_from(["", *ADDRESSES]),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from(NODES),
    st.sampled_from(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]),
    st.booleans(),
    st.sampled_from(["Running", "Running", "Succeeded"]),
)
endpoints = st.builds(
    lambda ip, pod, ready, node, hostname: {
        "addresses": [ip],
        "conditions": {"ready": ready},
        **({"hostname": hostname} if hostname else {}),
        **({"targetRef": {"kind": "Pod", "name": pod}} if pod else {}),
        **({"nodeName": node} if node else {}),
    },
    st.sampled_from(ADDRESSES),
    st.sampled_from(["", "p1", "p2", "p3"]),
    st.booleans(),
    st.sampled_from(["", *NODES]),
    st.sampled_from(["", "a-0"]),
)
slices = st.builds(
    lambda name, service, found, names: (
        "EndpointSlice",
        {
            "metadata": meta(name, labels={"kubernetes.io/service-name": service}),
            "addressType": "IPv4",
            "endpoints": found,
            "ports": [{"name": each, "port": 8000 + number} for number, each in enumerate(names)],
        },
    ),
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(NAMES),
    st.lists(endpoints, max_size=3),
    st.sampled_from([["http"], ["web", "grpc"], ["dns-tcp", "dns"]]),
)
gateway_services = st.builds(
    lambda name, labels, annotations, more, ingress: (
        "Service",
        {
            "metadata": meta(name, labels=labels, annotations=annotations),
            "spec": {"ports": [{"name": "tls", "port": 15443, "nodePort": 30443}], **more},
            "status": {"loadBalancer": {"ingress": ingress}},
        },
    ),
    st.sampled_from([*NAMES, "gateway"]),
    st.sampled_from([{}, {NETWORK: "east"}, {NETWORK: "west", "networking.istio.io/gatewayPort": "443"}]),
    st.sampled_from([{}, {}, {"traffic.istio.io/nodeSelector": "{}"}]),
    st.sampled_from([{}, {"externalIPs": ["203.0.113.5"]}]),
    st.sampled_from([[], [{"ip": "203.0.113.6"}], [{"hostname": "lb.example.com"}]]),
)
nodes = st.builds(
    lambda name, zone: (
        "Node",
        {
            "metadata": {
                "name": name,
                "labels": {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": zone},
            },
            "status": {"addresses": [{"type": "ExternalIP", "address": f"203.0.113.{ord(zone)}"}]},
        },
    ),
    st.sampled_from(NODES),
    st.sampled_from(["a", "b"]),
)
namespaces = st.builds(
    lambda name, network, mesh: (
        "Namespace",
        {
            "metadata": {
                "name": name,
                "labels": {key: value for key, value in {NETWORK: network, "mesh": mesh}.items() if value},
            }
        },
    ),
    st.sampled_from(["default", "istio-system"]),
    st.sampled_from(["", "east", "west"]),
    st.sampled_from(["", "here"]),
)
configs = st.builds(
    lambda name, host: (
        "VirtualService",
        {
            "metadata": meta(name),
            "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}]}]},
        },
    ),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from(NAMES),
)
workload_entries = st.builds(
    lambda name, ip, version, port: (
        "WorkloadEntry",
        {
            "metadata": meta(name),
            "spec": {
                "address": ip,
                "labels": {"version": version, "app": "a", "security.istio.io/tlsMode": "istio"},
                "serviceAccount": version,
                **({"ports": {"http": port}} if port else {}),
            },
        },
    ),
    st.sampled_from(["w1", "w2"]),
    st.sampled_from(ADDRESSES),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from([0, 8000]),
)
service_entries = st.builds(
    lambda name, created, hosts, rest, ports: (
        "ServiceEntry",
        {
            "metadata": meta(name, creationTimestamp=created),
            "spec": {"hosts": hosts, "ports": ports, **rest},
        },
    ),
    st.sampled_from(["e1", "e2"]),
    st.sampled_from(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]),
    st.sampled_from([["x.example"], ["x.example", "y.example"], [OF_A], [f"a-0.{OF_A}"]]),
    st.sampled_from(
        [
            {"resolution": "STATIC", "workloadSelector": {"labels": {"version": "v1"}}},
            {"resolution": "DNS", "workloadSelector": {"labels": {"version": "v2"}}},
            {"resolution": "STATIC", "location": "MESH_INTERNAL", "endpoints": [ENDPOINT]},
            {"addresses": ["10.9.0.0/16", "10.1.0.1"], "exportTo": ["."]},
        ]
    ),
    st.sampled_from(
        [
            [{"number": 80, "name": "http", "protocol": "HTTP"}],
            [{"number": 80, "name": "tcp", "protocol": "TCP", "targetPort": 8080}],
        ]
    ),
)
peers = st.builds(
    lambda name, namespace, created, selector, modes: (
        "PeerAuthentication",
        {
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
            "spec": {
                **({"selector": {"matchLabels": selector}} if selector else {}),
                "mtls": {"mode": modes[0]},
                "portLevelMtls": {"8000": {"mode": modes[1]}} if selector else {},
            },
        },
    ),
    st.sampled_from(["m1", "m2"]),
    st.sampled_from(["default", "istio-system"]),
    st.sampled_from(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]),
    st.sampled_from([{}, {"version": "v1"}, {"app": "a"}]),
    st.tuples(*[st.sampled_from(["UNSET", "DISABLE", "STRICT"])] * 2),
)
gateways = st.builds(
    lambda name, kinds: (
        GATEWAY,
        {
            "metadata": meta(name, uid=name),
            "spec": {
                "gatewayClassName": "istio",
                "addresses": [{"type": "Hostname", "value": "a"}],
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": kinds}],
            },
        },
    ),
    st.sampled_from(["web", "api"]),
    st.sampled_from(
        [
            {},
            {"namespaces": {"from": "All"}},
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchLabels": {"topology.istio.io/network": "east"}},
                }
            },
        ]
    ),
)
routes = st.builds(
    lambda kind, name, namespace, parent, backend: (
        kind,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "parentRefs": [{"namespace": "default", **parent}],
                "rules": [{"backendRefs": [{"name": backend, "namespace": "default", "port": 80}]}],
            },
        },
    ),
    st.sampled_from(["HTTPRoute", "HTTPRoute", "TCPRoute", "GRPCRoute"]),
    st.sampled_from(["r1", "r2"]),
    st.sampled_from(["default", "istio-system"]),
    st.sampled_from([{"name": "web"}, {"name": "api"}, {"group": "", "kind": "Service", "name": "a"}]),
    st.sampled_from(NAMES),
)
ingresses = st.builds(
    lambda name, backend, tls: (
        "Ingress",
        {
            "metadata": meta(name),
            "spec": {
                "ingressClassName": "istio",
                "defaultBackend": {"service": {"name": backend, "port": {"number": 80}}},
                **tls,
            },
        },
    ),
    st.sampled_from(["i1", "i2"]),
    st.sampled_from(NAMES),
    st.sampled_from([{}, {"tls": [{"hosts": ["x.example"], "secretName": "s"}]}]),
)
grants = st.builds(
    lambda name, to: (
        "ReferenceGrant",
        {
            "metadata": meta(name),
            "spec": {
                "from": [
                    {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "istio-system"}
                ],
                "to": [{"group": "", "kind": "Service", **to}],
            },
        },
    ),
    st.sampled_from(["g1", "g2"]),
    st.sampled_from([{}, {"name": "a"}]),
)
mesh_configs = st.builds(
    lambda text, networks: (
        "ConfigMap",
        {
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": text, "meshNetworks": networks},
        },
    ),
    st.sampled_from(
        [
            *("", "accessLogFile: /dev/stdout", "trustDomain: other.example", "acessLogFile: x"),
            "discoverySelectors: [{matchLabels: {mesh: here}}]",
            "discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: default}}]",
        ]
    ),
    st.sampled_from(
        [
            "",
            "networks: {east: {endpoints: [{fromRegistry: gke}], gateways: [{address: 203.0.113.9, port: 1}]}}",
            (
                "networks: {south: {endpoints: [{fromCidr: 10.0.0.2/32}], "
                "gateways: [{registryServiceName: gateway.default.svc, port: 15443}, {address: a.example, port: 1}]}}"
            ),
        ]
    ),
)


def change_of(cluster, what, action):
    kind, body = what
    found = decode(kind_named(kind), body)
    ref = kind_named(kind).ref(found.metadata)
    values = {
        "put": found,
        "remove": None,
        "spoil": Finding(ref=ref, message="is wrong", cluster=cluster, code=Code.OTHER),
    }
    return Change(ChangeKey(cluster, ref), values[action])


changes = st.builds(
    change_of,
    st.sampled_from(CLUSTERS),
    st.one_of(
        services,
        gateway_services,
        pods,
        slices,
        slices,
        nodes,
        namespaces,
        configs,
        service_entries,
        workload_entries,
        peers,
        gateways,
        routes,
        routes,
        grants,
        ingresses,
        mesh_configs,
    ),
    st.sampled_from(["put", "put", "put", "put", "remove", "spoil"]),
)
leaving = st.sampled_from(CLUSTERS).map(lambda name: Change(ChangeKey(name, cluster_ref(name)), None))
OPENING = [
    change_of(cluster, what, "put")
    for cluster in CLUSTERS[:2]
    for what in (
        (
            "Service",
            {
                "metadata": meta("a"),
                "spec": {"ports": [{"port": 80, "name": "http"}], "clusterIP": "10.1.0.1"},
            },
        ),
        ("Pod", {"metadata": meta("p1"), "spec": {"nodeName": "n1"}, "status": {"podIP": ADDRESSES[0]}}),
        (
            "EndpointSlice",
            {
                "metadata": meta("s1", labels={"kubernetes.io/service-name": "a"}),
                "endpoints": [
                    {"addresses": [ADDRESSES[0]], "targetRef": {"kind": "Pod", "name": "p1"}},
                    {"addresses": [ADDRESSES[1]], "nodeName": "n1"},
                    {
                        "addresses": [ADDRESSES[2]],
                        "targetRef": {"kind": "Pod", "name": "p2"},
                        "nodeName": "n2",
                    },
                ],
                "ports": [{"name": "http", "port": 8000}],
            },
        ),
    )
]
"""A world in which something is at stake: what is drawn at random seldom fits together."""

# `one_of` takes a strategy that stands in it twice for one: how often a cluster leaves is drawn by number.
one_change = st.integers(0, 24).flatmap(lambda drawn: leaving if drawn == 24 else changes)
random_steps = st.lists(st.lists(one_change, min_size=1, max_size=6), max_size=10)
steps = random_steps.map(lambda found: [OPENING, *found]) | random_steps
SIDECAR = {"version": "v1", "app": "a", "security.istio.io/tlsMode": "istio"}
PEERS_OPENING = [
    *OPENING,
    *(
        change_of(CLUSTERS[0], what, "put")
        for what in (
            (
                "Service",
                {
                    "metadata": meta("a"),
                    "spec": {
                        "ports": [{"port": 80, "name": "http"}],
                        "clusterIP": "10.1.0.1",
                        "selector": {"app": "a"},
                    },
                },
            ),
            ("Pod", {"metadata": meta("p1", labels=SIDECAR), "status": {"podIP": ADDRESSES[0]}}),
            (
                "WorkloadEntry",
                {
                    "metadata": meta("w1"),
                    "spec": {"address": "10.0.0.9", "labels": SIDECAR, "ports": {"http": 8000}},
                },
            ),
            *(
                (
                    "ServiceEntry",
                    {
                        "metadata": meta(name),
                        "spec": {
                            "hosts": [f"{name}.example"],
                            "resolution": resolution,
                            "location": "MESH_INTERNAL",
                            "ports": [{"number": 8000, "name": "http", "protocol": "HTTP"}],
                            "endpoints": [ENDPOINT],
                        },
                    },
                )
                for name, resolution in (("e8", "STATIC"), ("e9", "DNS"))
            ),
        )
    ),
]
change_of_peers = st.integers(0, 2).flatmap(
    lambda drawn: (
        changes
        if drawn == 2
        else st.builds(
            change_of, st.just(CLUSTERS[0]), peers, st.sampled_from(["put", "put", "put", "remove"])
        )
    )
)
steps_of_peers = st.lists(st.lists(change_of_peers, min_size=1, max_size=3), max_size=8).map(
    lambda found: [PEERS_OPENING, *found]
)
"""Mostly of terms on which workloads are called, of which there are of each sort."""
