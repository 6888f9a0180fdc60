"""Objects of the Gateway API and what they lean on, right and wrong, few enough of names that they meet."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from fakes.gateway_api import USUAL
from isthmus.api.core.ingress import Ingress, IngressClass
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Ref

TYPES = {kind.name: kind.type for kind in KINDS}
HOSTS = ["a.com", "*.a.com", "x.a.com", "b.net"]
NAMESPACES = ["default", "other"]

names = st.sampled_from(["one", "two", "web"])
namespaces = st.sampled_from(NAMESPACES)
created = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])
hosts = st.lists(st.sampled_from(HOSTS), max_size=2, unique=True)


def built(kind):
    return lambda name, namespace, when, spec: msgspec.convert(
        {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": when}, "spec": spec},
        TYPES[kind],
    )


listeners = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["l1", "l2", "l3"]),
        "port": st.sampled_from([80, 443]),
        "protocol": st.sampled_from(["HTTP", "HTTPS", "TLS", "TCP", "UDP"]),
        "allowedRoutes": st.sampled_from([{}, {"namespaces": {"from": "All"}}]),
    },
    optional={
        "hostname": st.sampled_from(HOSTS),
        "tls": st.sampled_from([{"mode": "Passthrough"}, {"certificateRefs": [{"name": "cert"}]}]),
    },
)
gateways = st.builds(
    built("Gateway"),
    names,
    namespaces,
    created,
    st.builds(
        lambda found: {"gatewayClassName": "istio", "listeners": found},
        st.lists(listeners, min_size=1, max_size=3, unique_by=lambda each: each["name"]),
    ),
)
parents = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": names, "namespace": namespaces}, optional={"sectionName": st.sampled_from(["l1", "l2"])}
        ),
        st.fixed_dictionaries(
            {
                "name": st.sampled_from("ab"),
                "namespace": namespaces,
                "group": st.just(""),
                "kind": st.just("Service"),
            },
            optional={"port": st.sampled_from([80, 9000])},
        ),
    ),
    max_size=2,
)
backends = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "gone"]), "port": st.just(80)},
        optional={"weight": st.integers(0, 3), "namespace": namespaces},
    ),
    max_size=2,
)
matches = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["Exact", "PathPrefix", "RegularExpression"]),
                    "value": st.sampled_from(["/", "/a", "/a/b"]),
                }
            ),
            "method": st.sampled_from(["GET", "POST"]),
        },
    ),
    max_size=2,
)
http = st.builds(
    built("HTTPRoute"),
    names,
    namespaces,
    created,
    st.fixed_dictionaries(
        {
            "parentRefs": parents,
            "hostnames": hosts,
            "rules": st.lists(
                st.fixed_dictionaries({"matches": matches, "backendRefs": backends}), min_size=1, max_size=2
            ),
        }
    ),
)
bare = {
    "parentRefs": parents,
    "rules": st.lists(st.fixed_dictionaries({"backendRefs": backends}), min_size=1, max_size=1),
}
grpc = st.builds(
    built("GRPCRoute"), names, namespaces, created, st.fixed_dictionaries(bare | {"hostnames": hosts})
)
tls = st.builds(
    built("TLSRoute"), names, namespaces, created, st.fixed_dictionaries(bare | {"hostnames": hosts})
)
tcp = st.builds(built("TCPRoute"), names, namespaces, created, st.fixed_dictionaries(bare))
classes = st.builds(
    lambda controller: msgspec.convert(
        {"metadata": {"name": "istio"}, "spec": {"controllerName": controller}}, TYPES["GatewayClass"]
    ),
    st.sampled_from(["istio.io/gateway-controller", "example.com/other"]),
)
grants = st.builds(
    built("ReferenceGrant"),
    names,
    namespaces,
    created,
    st.builds(
        lambda kind, to: {
            "from": [
                {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": each} for each in NAMESPACES
            ],
            "to": [{"group": "", "kind": to}],
        },
        st.sampled_from(["HTTPRoute", "Gateway"]),
        st.sampled_from(["Service", "Secret"]),
    ),
)
policies = st.builds(
    built("BackendTLSPolicy"),
    names,
    namespaces,
    created,
    st.builds(
        lambda name, validation: {
            "targetRefs": [{"group": "", "kind": "Service", "name": name}],
            "validation": {"hostname": "x.com"} | validation,
        },
        st.sampled_from("ab"),
        st.sampled_from(
            [
                {"wellKnownCACertificates": "System"},
                {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]},
            ]
        ),
    ),
)
ingresses = st.builds(
    lambda name, when, host, class_, tls: msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "default", "creationTimestamp": when},
            "spec": {
                "ingressClassName": class_,
                "tls": tls,
                "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}},
                "rules": [{"host": host}],
            },
        },
        Ingress,
    ),
    names,
    created,
    st.sampled_from(HOSTS),
    st.sampled_from(["istio", "edge", None]),
    st.sampled_from([[], [{"hosts": ["a.com"], "secretName": "cert"}]]),
)
ingress_classes = st.builds(
    lambda controller, usual: msgspec.convert(
        {
            "metadata": {
                "name": "edge",
                "annotations": {"ingressclass.kubernetes.io/is-default-class": usual},
            },
            "spec": {"controller": controller},
        },
        IngressClass,
    ),
    st.sampled_from(["istio.io/ingress-controller", "example.com/other"]),
    st.sampled_from(["true", "false"]),
)
entries = st.builds(
    lambda namespace, host: msgspec.convert(
        {"metadata": {"name": "web", "namespace": namespace}, "spec": {"hosts": [host]}}, ServiceEntry
    ),
    namespaces,
    st.sampled_from(HOSTS),
)
gateways_and_routes = st.one_of(gateways, http, grpc, tls, tcp)
changes = st.lists(
    st.tuples(
        st.one_of(
            gateways, http, grpc, tls, tcp, classes, grants, policies, ingresses, ingress_classes, entries
        ),
        st.booleans(),
    ),
    max_size=4,
)
beside = st.fixed_dictionaries(
    {
        "services": st.sets(st.sampled_from(sorted(USUAL["services"]))),
        "certificates": st.sets(st.sampled_from([("default", "cert"), ("other", "cert")])),
        "authorities": st.sets(st.just(Ref("ConfigMap", "default", "ca"))),
        "addresses": st.sampled_from([(), ("192.0.2.1",), ("192.0.2.1", "192.0.2.2")]),
        "mode": st.sampled_from(["OFF", "STRICT", "DEFAULT"]),
    }
)
