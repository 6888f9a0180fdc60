"""Where calls of hosts go that ServiceEntries name, row by row."""

from __future__ import annotations

import pytest

from fakes.ruled_manifests import deployment, istio, ruled
from simulate import assert_goes, explained, transports


def entry(name, spec, namespace="default"):
    return istio("ServiceEntry", name, f"\n{spec}", namespace)


FIXED = entry(
    "fixed",
    """
  hosts: [fixed.example.com]
  resolution: STATIC
  endpoints:
    - {address: 192.0.2.1}
    - {address: 192.0.2.2, ports: {http: 8080}}
    - {address: 192.0.2.3, weight: 2, labels: {version: v2}}
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
""",
)
SPLIT = istio(
    "DestinationRule",
    "fixed",
    "{host: fixed.example.com, subsets: [{name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]}",
)
PICKED = istio(
    "VirtualService",
    "fixed",
    """
  hosts: [fixed.example.com]
  http:
    - {match: [{uri: {prefix: /v2}}], route: [{destination: {host: fixed.example.com, subset: v2}}]}
    - {match: [{uri: {prefix: /v3}}], route: [{destination: {host: fixed.example.com, subset: v3}}]}
    - {match: [{uri: {prefix: /in}}], route: [{destination: {host: ratings, port: {number: 9080}}}]}
    - {route: [{destination: {host: fixed.example.com}}]}
""",
)
NAMED = entry(
    "named",
    """
  hosts: [named.example.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 5432, name: db, protocol: TCP}]
""",
)
ALIAS = entry(
    "alias",
    """
  hosts: [alias.example.com, second.example.com]
  resolution: DNS
  endpoints: [{address: real.example.net, ports: {http: 8000}}]
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
)
WILD = entry(
    "wild",
    """
  hosts: ["*.wild.example.com"]
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
""",
)
BY_ADDRESS = entry(
    "database",
    """
  hosts: [database.internal]
  addresses: [198.51.100.7, 198.51.101.0/24]
  resolution: STATIC
  endpoints: [{address: 192.0.2.9}]
  ports: [{number: 3306, name: db, protocol: TCP}]
""",
)
INSIDE = entry(
    "inside",
    """
  hosts: [inside.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: ratings}}
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 9080}]
""",
)
MACHINE = (
    entry(
        "machines",
        """
  hosts: [machines.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: vm}}
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
    ),
    istio("WorkloadEntry", "vm-1", "{address: 192.0.2.21, labels: {app: vm}}"),
    istio("WorkloadEntry", "vm-2", "{address: 192.0.2.22, labels: {app: vm}, weight: 3}"),
    istio("WorkloadEntry", "other", "{address: 192.0.2.23, labels: {app: other}}"),
)
HIDDEN = entry(
    "hidden",
    """
  hosts: [hidden.example.com]
  exportTo: ["."]
  resolution: STATIC
  endpoints: [{address: 192.0.2.31}]
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
    "elsewhere",
)
EMPTY = entry(
    "empty",
    """
  hosts: [empty.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
)
WORLD = ruled(
    FIXED, SPLIT, PICKED, NAMED, ALIAS, WILD, BY_ADDRESS, INSIDE, *MACHINE, HIDDEN, EMPTY,
    deployment("batch", "batch"),
)  # fmt: skip
QUARTERED = {"192.0.2.1:80": 25.0, "192.0.2.2:8080": 25.0, "192.0.2.3:80": 50.0}


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://fixed.example.com/v3", "503", None),
        ("http://fixed.example.com/in", "ratings-v1", "mutual"),
        ("http://named.example.com/", "named.example.com:8080", "plain"),
        ("tcp://named.example.com:5432", "named.example.com:5432", "plain"),
        ("http://a.wild.example.com/", "(as the caller resolved it):80", "plain"),
        ("http://a.b.wild.example.com/", "(as the caller resolved it):80", "plain"),
        ("https://a.wild.example.com/", "(as the caller resolved it):443", "plain"),
        ("tcp://198.51.102.1:3306", "198.51.102.1:3306", "plain"),
        ("tcp://198.51.100.7:3307", "198.51.100.7:3307", "plain"),
        ("http://inside.example.com/", "ratings-v1", "mutual"),
        ("http://machines.example.com/", {"vm-1": 25.0, "vm-2": 75.0}, "plain"),
        ("http://empty.example.com/", "503", None),
    ],
)  # fmt: skip
def test_hosts_of_service_entries_are_called_where_they_say(call, lands_on, tls):
    assert_goes(WORLD, "productpage", call, lands_on, tls)


def reached(call):
    """The addresses at which a call ends, with their shares."""
    found = explained(WORLD, "productpage", call)
    assert transports(found) == {"plain"}
    shares = {}
    for share, upstream in found.trace.forwards:
        for one in upstream.endpoints:
            shares[one.address] = shares.get(one.address, 0) + share * one.share / 100
    return shares


@pytest.mark.parametrize(
    ("call", "addresses"),
    [
        ("http://fixed.example.com/", QUARTERED),
        ("http://FIXED.example.com/x?y", QUARTERED),
        ("http://fixed.example.com/v2", "192.0.2.3:80"),
        ("https://fixed.example.com/", {"192.0.2.1:443": 25.0, "192.0.2.2:443": 25.0, "192.0.2.3:443": 50.0}),
        ("http://alias.example.com/", "real.example.net:8000"),
        ("http://second.example.com/", "real.example.net:8000"),
        ("tcp://198.51.100.7:3306", "192.0.2.9:3306"),
        ("tcp://198.51.101.200:3306", "192.0.2.9:3306"),
    ],
)  # fmt: skip
def test_endpoints_of_an_entry_are_called_by_address_port_and_weight(call, addresses):
    assert reached(call) == (addresses if isinstance(addresses, dict) else {addresses: 100.0})


@pytest.mark.parametrize(
    ("caller", "lands_on"),
    [("elsewhere/caller", "hidden"), ("productpage", "(as the caller resolved it):80")],
)
def test_an_entry_holds_where_it_is_exported(caller, lands_on):
    assert_goes(WORLD, caller, "http://hidden.example.com/", lands_on, "plain")


@pytest.mark.parametrize(
    ("policy", "tls"),
    [
        ("{tls: {mode: SIMPLE}}", "tls"),
        ("{tls: {mode: SIMPLE, sni: other.example.com}}", "tls"),
        ("{tls: {mode: DISABLE}}", "plain"),
        ("{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}", "tls"),
        ("{portLevelSettings: [{port: {number: 5432}, tls: {mode: SIMPLE}}]}", "plain"),
    ],
)
def test_tls_is_put_around_calls_where_a_rule_asks_for_it(policy, tls):
    rule = istio("DestinationRule", "named", f"{{host: named.example.com, trafficPolicy: {policy}}}")
    assert_goes(ruled(NAMED, rule), "productpage", "http://named.example.com/", "named.example.com:8080", tls)
