"""The `tcp` and `tls` parts of VirtualServices, and the services that they are about."""

from __future__ import annotations

from hypothesis import strategies as st

from drawn.http_rules import pick, seldom, some, without_none
from drawn.worlds import SUBSETS, document, entry, mesh_config, pods, service

PORTS = {
    "db": (("tcp", 3306),),
    "mongo": (("mongo", 27017), ("tcp", 3306)),
    "vault": (("tls", 443),),
    "web": (("https", 443), ("http", 80)),
    "guess": ((None, 7000), (None, 443)),
}
VIPS = {name: f"10.1.1.{number}" for number, name in enumerate(PORTS, 1)}
ENTRIES = [
    entry("wild", ["*.tls.example.com", "one.tls.example.com"], "NONE", port=(443, "TLS")),
    entry("named", ["api.tls.example.org"], "DNS", port=(443, "TLS")),
    entry(
        "ranges",
        ["ranges.example.com"],
        "NONE",
        port=(5432, "TCP"),
        addresses=["192.0.2.0/24", "198.51.100.7"],
    ),
    entry(
        *("fixed", ["fixed.example.com"], "STATIC"),
        port=(3306, "TCP"),
        addresses=["203.0.113.9"],
        endpoints=[{"address": "192.0.2.200"}],
    ),
]
SERVED = [
    *(service(name, ports=ports, address=VIPS[name]) for name, ports in PORTS.items()),
    *(each for name in PORTS for each in pods(name, address=VIPS[name])),
    *ENTRIES,
]
SNI_HOSTS = (
    "*.tls.example.com",
    "one.tls.example.com",
    "*.example.com",
    "api.tls.example.org",
    "vault",
    "web",
)
TCP_HOSTS = ("db", "mongo", "guess", "vault", "ranges.example.com", "fixed.example.com", "192.0.2.7")
SUBNETS = ("10.1.1.0/24", "10.1.1.1", "10.1.1.2/31", "192.0.2.0/25", "192.0.2.7", "0.0.0.0/0")
SOURCES = ("10.2.0.0/16", "10.2.9.9", "172.16.0.0/12")

destinations = without_none(
    host=pick((*PORTS, "db.default.svc.cluster.local", "api.tls.example.org", "fixed.example.com", "gone")),
    subset=seldom(pick(("v1", "v2", "v3"))),
    port=seldom(some({"number": pick((443, 3306, 7000))})),
)
shares = st.lists(some({"destination": destinations}), min_size=1, max_size=1) | st.lists(
    some({"destination": destinations, "weight": pick((0, 1, 50))}), min_size=2, max_size=3
).filter(lambda several: any(each["weight"] for each in several))
conditions = {
    "destinationSubnets": seldom(st.lists(pick(SUBNETS), min_size=1, max_size=2, unique=True)),
    "port": seldom(pick((443, 3306, 5432, 7000, 27017))),
    "sourceLabels": seldom(seldom(pick(({"app": "caller"}, {"app": "other"})))),
    "sourceNamespace": seldom(seldom(pick(("default", "shop")))),
    "gateways": seldom(seldom(pick((["mesh"], ["edge"])))),
}
tcp_matches = without_none(**conditions, sourceSubnet=seldom(pick(SOURCES))).filter(bool)
tcp_rules = without_none(match=st.none() | st.lists(tcp_matches, min_size=1, max_size=2), route=shares)


def tls_rules(hosts):
    """For some of the server names that a rule's hosts stand for."""
    names = [
        each
        for host in hosts
        for each in (host, *([f"x{host[1:]}", f"*.y{host[1:]}"] if host[0] == "*" else []))
    ]
    matches = without_none(sniHosts=st.lists(pick(names), min_size=1, max_size=2, unique=True), **conditions)
    return some({"match": st.lists(matches, min_size=1, max_size=2), "route": shares})


@st.composite
def rule(draw, name):
    """A VirtualService for connections."""
    kind = draw(pick(("tcp", "tls", "both")))
    known = TCP_HOSTS if kind == "tcp" else SNI_HOSTS if kind == "tls" else ("vault", "web", "guess")
    hosts = draw(st.lists(pick(known), min_size=1, max_size=2, unique=True))
    spec = {"hosts": hosts}
    if kind != "tls":
        spec["tcp"] = draw(st.lists(tcp_rules, min_size=1, max_size=3))
    if kind != "tcp":
        spec["tls"] = draw(st.lists(tls_rules(hosts), min_size=1, max_size=3))
    return document("VirtualService", name, spec)


@st.composite
def worlds(draw):
    """Rules for connections from a sidecar."""
    found = [draw(rule(f"rule-{number}")) for number in range(draw(st.integers(1, 4)))]
    for host in draw(st.lists(pick(sorted(PORTS)), max_size=3, unique=True)):
        found.append(document("DestinationRule", host, {"host": host, "subsets": SUBSETS}))
    if draw(st.integers(0, 3)) == 0:
        found.append(mesh_config(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    return found
