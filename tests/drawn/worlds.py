"""The services that drawn rules are about, and how they are drawn around them: as documents, in one cluster."""

from __future__ import annotations

import yaml
from hypothesis import strategies as st

from drawn.http_rules import SERVICES, pick, seldom, several, some, without_none

ISTIO = "networking.istio.io/v1"
VIPS = {name: f"10.1.0.{number}" for number, name in enumerate((*SERVICES, "store"), 1)}
"""The addresses of services by their short names."""
NAMED = (
    "shop.example.com",
    "*.example.com",
    "*.shop.example.com",
    "*.org",
    "Upper.Case.net",
    "api.example.com",
)
"""Hosts of rules that are no Services."""


def document(kind, name, spec, namespace="default", api=ISTIO, **meta):
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": spec,
    }


def service(name, namespace="default", ports=(("http", 80), ("http-alt", 8080)), address=None):
    """A Service of which each port leads to one 9000 above, on the pods with its name."""
    numbered = [
        {"name": port or f"p{number}", "port": number, "targetPort": 9000 + number} for port, number in ports
    ]
    spec = {"clusterIP": address or VIPS[name], "ports": numbered, "selector": {"app": name}}
    return document("Service", name, spec, namespace, api="v1")


def pods(name, namespace="default", versions=("v1", "v1", "v2"), address=None):
    """Pods of these versions behind a Service, with addresses by its own."""
    *_, third, last = (address or VIPS[name]).split(".")
    for number, version in enumerate(versions, 1):
        labels = {"app": name, "version": version}
        made = document("Pod", f"{name}-{number}", {}, namespace, "v1", labels=labels)
        yield made | {"status": {"podIP": f"10.{int(third) + 2}.{last}.{number}"}}


def entry(name, hosts, resolution, port=(80, "HTTP"), **more):
    """A ServiceEntry with one port."""
    number, protocol = port
    ports = [{"number": number, "name": protocol.lower(), "protocol": protocol}]
    return document("ServiceEntry", name, {"hosts": hosts, "ports": ports, "resolution": resolution, **more})


def mesh_config(**settings):
    made = document("ConfigMap", "istio", None, "istio-system", "v1")
    return {**made, "data": {"mesh": yaml.safe_dump(settings)}}


SERVED = [
    *(service(name) for name in SERVICES),
    service("store", "shop"),
    *(each for name in SERVICES[:3] for each in pods(name)),  # nobody serves delta
    *pods("store", "shop", ("v2",)),
    entry("api", ["api.example.com"], "DNS"),
    entry("wild", ["*.wild.example.com"], "NONE"),
    entry(
        "fixed",
        ["fixed.example.net"],
        "STATIC",
        endpoints=[{"address": "192.0.2.1"}, {"address": "192.0.2.2"}],
    ),
]
SUBSETS = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2", "v3")]

balancers = st.one_of(
    some({"simple": pick(("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"))}),
    some(
        {
            "consistentHash": pick(
                ({"httpHeaderName": "x-a"}, {"httpQueryParameterName": "q"}, {"useSourceIp": True})
            )
        }
    ),
)


def policy(host):
    """A DestinationRule for `host`, of which v3 has no endpoints."""
    return st.builds(
        lambda balancer: document(
            "DestinationRule",
            f"{host}-policy",
            {
                "host": host,
                "subsets": SUBSETS,
                **({"trafficPolicy": {"loadBalancer": balancer}} if balancer else {}),
            },
        ),
        seldom(balancers),
    )


def rule(name, hosts, *, gateways=None):
    """A VirtualService."""
    bound = {} if gateways is None else {"gateways": gateways}
    return several.map(lambda http: document("VirtualService", name, {"hosts": hosts, **bound, "http": http}))


@st.composite
def delegated(draw, name, hosts, **bound):
    """A VirtualService that leaves some paths to another, and that one."""
    root = draw(rule(name, hosts, **bound))
    mine = document("VirtualService", f"{name}-part", {"http": draw(several)})
    leaving = draw(without_none(match=st.just([{"uri": {"prefix": draw(pick(("/a", "/api")))}}])))
    place = draw(st.integers(0, len(root["spec"]["http"]) - 1))
    root["spec"]["http"].insert(place, leaving | {"delegate": {"name": f"{name}-part"}})
    return [root, mine]


bindings = pick((*[None] * 8, ["mesh"], ["mesh", "edge"], ["edge"]))


@st.composite
def sidecar_worlds(draw):
    """Rules for HTTP calls from a sidecar: for Services, for hosts that are none, and for none at all."""
    hosts = draw(
        st.lists(
            pick((*SERVICES, "store.shop.svc.cluster.local", *NAMED)), min_size=1, max_size=4, unique=True
        )
    )
    found = []
    for number, host in enumerate(hosts):
        bound = draw(bindings)
        made = rule if draw(st.integers(0, 4)) else delegated
        drawn = draw(made(f"rule-{number}", [host], gateways=bound))
        found += drawn if isinstance(drawn, list) else [drawn]
    for host in draw(st.lists(pick(SERVICES), max_size=3, unique=True)):
        found.append(draw(policy(host)))
    if draw(st.integers(0, 3)) == 0:
        found.append(mesh_config(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    return found


def case_of(served, documents):
    """The drawn documents with what is served, as the text of a case."""
    head = {"kind": "Cluster", "metadata": {"name": "c"}}
    return yaml.safe_dump_all([head, *served, *documents])
