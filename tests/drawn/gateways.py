"""Gateways of the kind `Gateway`, several on the same ports, with rules for them, and calls from outside."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import http_rules
from drawn.calls import near, server_names
from drawn.connection_rules import tcp_rules, tls_rules
from drawn.http_rules import pick
from drawn.worlds import SUBSETS, document
from isthmus.translate.trace.call import Call, Hello, Speech

HOSTS = (
    "*",
    "*.example.com",
    "shop.example.com",
    "*.shop.example.com",
    "x.org",
    "vault.example.com",
    "Upper.Case.net",
)
NAMES = ("default/edge", "default/edge-2", "shop/edge")
ADDRESS = "10.2.9.7"

hosts = st.lists(pick(HOSTS), min_size=1, max_size=2, unique=True)
scoped = st.lists(
    st.builds(str.__add__, pick(("", "", "", "default/", "*/", "./", "shop/")), pick(HOSTS)),
    min_size=1,
    max_size=2,
    unique_by=lambda each: each.rpartition("/")[2],
)


def _server(number, protocol, tls=None):
    def made(asked, **more):
        port = {"number": number, "protocol": protocol, "name": f"{protocol.lower()}-{number}"}
        return {"port": port, "hosts": asked, **({"tls": tls} if tls else {}), **more}

    return st.builds(made, scoped)


servers = st.one_of(
    _server(8080, "HTTP"),
    _server(8080, "HTTP"),
    _server(8080, "HTTP", {"httpsRedirect": True}),
    _server(8081, "HTTP2"),
    _server(8443, "HTTPS", {"mode": "SIMPLE", "credentialName": "cert"}),
    _server(8443, "HTTPS", {"mode": "SIMPLE", "credentialName": "cert"}),
    _server(8443, "HTTPS", {"mode": "MUTUAL", "credentialName": "cert"}),
    _server(8443, "TLS", {"mode": "PASSTHROUGH"}),
    _server(8444, "TLS", {"mode": "SIMPLE", "credentialName": "cert"}),
    _server(3306, "TCP"),
)


USUAL = [
    {"port": {"number": 8080, "protocol": "HTTP", "name": "http"}, "hosts": ["*"]},
    {
        "port": {"number": 8443, "protocol": "HTTPS", "name": "https"},
        "hosts": ["*.example.com"],
        "tls": {"mode": "SIMPLE", "credentialName": "cert"},
    },
    {"port": {"number": 8080, "protocol": "HTTP", "name": "http"}, "hosts": ["*.example.com", "x.org"]},
]


@st.composite
def gateway(draw, name):
    """One Gateway, in the namespace that its name has before a slash."""
    namespace, _, short = name.rpartition("/")
    found, taken = [], set()
    for each in (draw(pick(USUAL)), *draw(st.lists(servers, max_size=3))):
        number = each["port"]["number"]
        free = [host for host in each["hosts"] if (number, host.rpartition("/")[2]) not in taken]
        taken |= {(number, host.rpartition("/")[2]) for host in free}
        if free:  # each server has a name and hosts of its own
            port = {**each["port"], "name": f"{each['port']['name']}-{len(found)}"}
            found.append({**each, "port": port, "hosts": free})
    spec = {"selector": {"istio": "edge"}, "servers": found}
    return document("Gateway", short, spec, namespace or "default")


@st.composite
def rule(draw, name, gateways, served):
    """A VirtualService for some of the Gateways, mostly for hosts that they serve."""
    concrete = [host.replace("*", "shop") for host in served if host != "*"] or ["shop.example.com"]
    own = draw(st.lists(pick((*served, *concrete, *HOSTS[2:])), min_size=1, max_size=2, unique=True))
    spec = {
        "hosts": own,
        "gateways": draw(st.lists(pick((*gateways, *gateways, "gone")), min_size=1, max_size=2, unique=True)),
        "http": [_with_port(each) for each in draw(http_rules.several)],
    }
    if draw(st.integers(0, 1)):
        spec["tls"] = draw(
            st.lists(tls_rules([each for each in own if each != "*"] or ["*.example.com"]), max_size=2)
        )
    if draw(st.integers(0, 3)) == 0:
        spec["tcp"] = draw(st.lists(tcp_rules, max_size=2))
    return document("VirtualService", name, spec, draw(pick(("default", "default", "shop"))))


def _with_port(entry):
    """The rule with a port for each destination: a gateway's own is no port of a service."""
    several = [
        {**each, "destination": {"port": {"number": 80}, **each["destination"]}}
        for each in entry.get("route", ())
    ]
    return {**entry, "route": several} if several else entry


@st.composite
def worlds(draw):
    """One to three Gateways for one proxy, and rules."""
    names = draw(st.lists(pick(NAMES), min_size=1, max_size=3, unique=True))
    found = [draw(gateway(name)) for name in names]
    servers = [server for each in found for server in each["spec"]["servers"]]
    served = [host.rpartition("/")[2] for each in servers for host in each["hosts"]]
    found += [draw(rule(f"rule-{number}", names, served)) for number in range(draw(st.integers(1, 4)))]
    for host in draw(st.lists(pick(("alpha", "beta")), max_size=2, unique=True)):
        found.append(document("DestinationRule", host, {"host": host, "subsets": SUBSETS}))
    return found


@st.composite
def calls(draw, documents):
    """A call from outside to one of the ports: near one of the rules, and near what its server takes."""
    every = [each for one in documents if one["kind"] == "Gateway" for each in one["spec"]["servers"]]
    server = draw(pick(every))
    request = draw(near(documents))
    if draw(st.integers(0, 2)) == 0:  # as the server has it, whatever the rules say
        host = draw(server_names(draw(pick(server["hosts"])).rpartition("/")[2]))
        request = replace(request, host=host.strip("*") or "any.net")
    call = Call(
        address=ADDRESS,
        port=server["port"]["number"],
        source=draw(pick(("203.0.113.7", "10.2.9.9"))),
        request=request,
    )
    is_tls = server["port"]["protocol"] in {"HTTPS", "TLS"}
    kind = draw(pick(("tls", "tls", "tls", "tls", "plain") if is_tls else ("plain",) * 5 + ("tls", "bytes")))
    if kind == "plain":
        return call
    if kind == "bytes":
        return replace(call, speech=Speech.BYTES, request=None)
    name = request.host.partition(":")[0].strip(".[]").lower()
    hello = Hello(
        sni=draw(pick((name, name, name, "other.example.com", ""))),
        alpn=draw(pick(((), ("http/1.1",)))),
        identity=draw(pick(("", "spiffe://cluster.local/ns/default/sa/caller"))),
    )
    # What is passed through is no request to whoever passes it.
    return replace(call, speech=Speech.BYTES, hello=hello, request=replace(request, scheme="https"))
