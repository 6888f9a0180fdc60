"""Where calls go at gateways and beyond: TLS by server name, redirects, certificates of callers, egress."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.console.drawn_mesh import draw
from isthmus.console.explain_files import FromFiles
from isthmus.console.written import Manifest
from isthmus.translate.trace.call import Hello
from isthmus.translate.trace.walk import Side, trace
from simulate import assert_goes, explained
from unit.translate.test_simulated_calls import cluster, deployment, files, istio, service

GATEWAY = istio(
    "Gateway",
    "edge",
    """
  selector: {app: edge}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"], tls: {httpsRedirect: true}}
    - {port: {number: 80, name: open, protocol: HTTP}, hosts: [open.example.org]}
    - port: {number: 443, name: web, protocol: HTTPS}
      hosts: [web.example.com]
      tls: {mode: SIMPLE, credentialName: web}
    - port: {number: 443, name: wild, protocol: HTTPS}
      hosts: ["*.example.com"]
      tls: {mode: OPTIONAL_MUTUAL, credentialName: wild}
    - port: {number: 443, name: partners, protocol: HTTPS}
      hosts: [partners.example.com]
      tls: {mode: MUTUAL, credentialName: partners}
    - {port: {number: 443, name: pass, protocol: TLS}, hosts: [vault.example.com], tls: {mode: PASSTHROUGH}}
    - {port: {number: 5432, name: db, protocol: TCP}, hosts: ["*"]}
    - port: {number: 5433, name: db-tls, protocol: TLS}
      hosts: [db.example.com]
      tls: {mode: SIMPLE, credentialName: db}
""",
)
RULES = [
    istio(
        "VirtualService",
        "web",
        """
  hosts: [web.example.com, other.example.com, partners.example.com, open.example.org]
  gateways: [edge]
  http:
    - {match: [{uri: {prefix: /api}}], route: [{destination: {host: api, port: {number: 80}}}]}
    - {route: [{destination: {host: web, port: {number: 80}}}]}
""",
    ),
    istio(
        "VirtualService",
        "vault",
        """
  hosts: [vault.example.com]
  gateways: [edge]
  tls: [{match: [{sniHosts: [vault.example.com]}], route: [{destination: {host: vault}}]}]
""",
    ),
    istio(
        "VirtualService",
        "db",
        """
  hosts: ["*"]
  gateways: [edge]
  tcp:
    - {match: [{port: 5432}], route: [{destination: {host: db}}]}
    - {match: [{port: 5433}], route: [{destination: {host: db}}]}
""",
    ),
]
SERVICES = [
    service("web", ("http", 80)),
    service("api", ("http", 80)),
    service("vault", ("tls", 443)),
    service("db", ("tcp", 5432)),
    *(deployment(name, name) for name in ("web", "api", "db", "edge", "caller")),
    deployment("vault", "vault", sidecar="false"),
]
EDGE = files(cluster("east"), GATEWAY, *RULES, *SERVICES)


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://web.example.com/x", "redirect https://web.example.com/x", None),
        ("http://other.example.com/", "redirect https://other.example.com/", None),
        ("http://unknown.example.com/", "redirect https://unknown.example.com/", None),
        ("CONNECT http://web.example.com/ ; host: web.example.com:8443", "403", None),
        ("http://open.example.org/", "web", "mutual"),
        ("http://elsewhere.org/", "404", None),
        ("https://web.example.com/", "web", "mutual"),
        ("https://web.example.com/api/1", "api", "mutual"),
        ("https://other.example.com/api", "api", "mutual"),
        ("https://web.example.com/; host: other.example.com", "404", None),
        ("https://unknown.example.com/", "404", None),
        ("https://elsewhere.org/", "closed", None),
        ("https://partners.example.com/", "closed", None),
        ("https://vault.example.com/", "vault", "plain"),
        ("tls://vault.example.com:443", "vault", "plain"),
        ("http://web.example.com:443/", "closed", None),
        ("tcp://db.example.com:5432", "db", "mutual"),
        ("tls://db.example.com:5433", "db", "mutual"),
        ("tls://other.example.com:5433", "closed", None),
        ("tcp://db.example.com:5433", "closed", None),
    ],
)
def test_calls_of_the_world_end_where_the_gateway_sends_them(call, lands_on, tls):
    assert_goes(EDGE, "edge", call, lands_on, tls)


def test_it_is_said_that_a_certificate_is_wanted():
    found = explained(EDGE, "edge", "https://partners.example.com/").trace
    assert "the caller shows no certificate" in found.branches[0].action.why
    assert "a certificate is asked for" in str(
        explained(EDGE, "edge", "https://other.example.com/").trace.listener.tls
    )


OUTSIDE = istio(
    "ServiceEntry",
    "outside",
    """
  hosts: [api.example.org]
  addresses: [240.0.0.1]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}, {number: 443, name: tls, protocol: TLS}]
""",
)
ORIGINATION = istio(
    "DestinationRule",
    "outside",
    "{host: api.example.org, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}",
)
EGRESS = [
    istio(
        "Gateway",
        "egress",
        """
  selector: {app: egress}
  servers:
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [api.example.org], tls: {mode: ISTIO_MUTUAL}}
    - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [api.example.org], tls: {mode: PASSTHROUGH}}
""",
    ),
    istio(
        "DestinationRule",
        "egress",
        "{host: egress, trafficPolicy: {portLevelSettings: [{port: {number: 443}, "
        "tls: {mode: ISTIO_MUTUAL, sni: api.example.org}}]}}",
    ),
    istio(
        "VirtualService",
        "out",
        """
  hosts: [api.example.org]
  gateways: [mesh, egress]
  http:
    - match: [{gateways: [mesh], port: 80}]
      route: [{destination: {host: egress, port: {number: 443}}}]
    - match: [{gateways: [egress], port: 443}]
      route: [{destination: {host: api.example.org, port: {number: 80}}}]
  tls:
    - match: [{gateways: [mesh], port: 443, sniHosts: [api.example.org]}]
      route: [{destination: {host: egress, port: {number: 8443}}}]
    - match: [{gateways: [egress], port: 8443, sniHosts: [api.example.org]}]
      route: [{destination: {host: api.example.org, port: {number: 443}}}]
""",
    ),
    service("egress", ("https", 443), ("tls", 8443)),
    deployment("egress", "egress", sidecar="false"),
]
BY_HEADER = [
    istio(
        "Gateway",
        "egress",
        "{selector: {app: egress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
    ),
    istio(
        "VirtualService",
        "out",
        """
  hosts: [api.example.org]
  gateways: [mesh, egress]
  http:
    - match: [{gateways: [mesh]}]
      route: [{destination: {host: egress, port: {number: 80}}, headers: {request: {set: {x-team: shop}}}}]
    - {match: [{gateways: [egress], headers: {x-team: {exact: shop}}}], route: [{destination: {host: api.example.org}}]}
    - {match: [{gateways: [egress]}], directResponse: {status: 403}}
""",
    ),
    service("egress", ("http", 80)),
    deployment("egress", "egress", sidecar="false"),
]
DIRECT = files(cluster("east"), OUTSIDE, ORIGINATION, *SERVICES)
THROUGH = files(cluster("east"), OUTSIDE, ORIGINATION, *EGRESS, *SERVICES)


@pytest.mark.parametrize(
    ("text", "caller", "call", "lands_on", "tls"),
    [
        (DIRECT, "caller", "http://api.example.org/", "outside", "tls"),
        (DIRECT, "caller", "https://api.example.org/", "outside", "plain"),
        (THROUGH, "caller", "http://api.example.org/", "egress", "mutual"),
        (THROUGH, "caller", "https://api.example.org/", "egress", "plain"),
    ],
)
def test_calls_of_the_world_leave_as_rules_say(text, caller, call, lands_on, tls):
    assert_goes(text, caller, call, lands_on, tls)


def test_what_arrives_at_the_egress_gateway_goes_on_from_there():
    for call in ("http://api.example.org/", "https://api.example.org/"):
        (arrival,) = explained(THROUGH, "caller", call).arrivals
        assert not arrival.problem
        (forward,) = arrival.trace.forwards
        assert [one.address for one in forward[1].endpoints] == ["192.0.2.1:443"]


ROUTED = files(
    cluster("east"),
    istio(
        "VirtualService",
        "web",
        """
  hosts: [secure, "*.secure.example"]
  tls:
    - {match: [{sniHosts: [a.secure.example], port: 443}], route: [{destination: {host: vault}}]}
    - {match: [{sniHosts: ["*.secure.example"]}], route: [{destination: {host: db, port: {number: 5432}}}]}
""",
    ),
    service("secure", ("https", 443)),
    deployment("secure", "secure"),
    *SERVICES,
)


@pytest.mark.parametrize(
    ("name", "lands_on"), [("a.secure.example", "vault"), ("b.secure.example", "db"), ("other", "secure")]
)
def test_tls_of_an_application_goes_by_its_server_name(name, lands_on):
    generic = explained(ROUTED, "caller", "tls://secure:443").trace.call
    drawn = draw([Manifest("case.yaml", ROUTED)])
    source = FromFiles(drawn)
    caller = next(each for each in source.mesh.workloads.values() if each.name.startswith("caller"))
    held = source.held(caller)
    assert held is not None
    call = msgspec.structs.replace(generic, hello=Hello(sni=name))
    ((_, upstream),) = trace(held, call, Side.OUTBOUND).forwards
    assert upstream.name.split("|")[3].startswith(lands_on)


def test_a_gateway_chooses_by_the_headers_that_the_callers_sidecar_has_set():
    text = files(cluster("east"), OUTSIDE, *BY_HEADER, *SERVICES)
    found = explained(text, "caller", "http://api.example.org/ ; x-team: other")
    assert [each.name for _, each in found.arrivals[0].trace.forwards] == ["outbound|80||api.example.org"]
