"""What explain says of gateways and of datagrams: how callers may come, what lets them in, and on."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fakes.ruled_manifests import cluster, deployment, files, istio, service
from isthmus.console.cli import main
from simulate import explained
from unit.translate.test_simulated_datagrams import files as datagrams
from unit.translate.test_simulated_datagrams import rule
from unit.translate.test_simulated_edge import EDGE, THROUGH
from unit.translate.test_simulated_networks import mesh


def server_of(origin):
    return (origin.object, origin.entry) if origin else None


@pytest.mark.parametrize(
    ("call", "server", "takes"),
    [
        ("http://web.example.com/", 0, "plain text alone"),
        ("http://open.example.org/", 1, "plain text alone"),
        ("https://web.example.com/", 2, "TLS alone is taken, with no certificate"),
        ("https://other.example.com/", 3, "TLS alone is taken; callers are asked"),
        ("https://partners.example.com/", 4, "strict: mutual TLS alone"),
        ("http://partners.example.com:443/", 4, "strict: mutual TLS alone"),
        ("http://other.example.com:443/", 3, "TLS alone is taken; callers are asked"),
        ("tls://vault.example.com:443", 5, "TLS alone is let through, unopened"),
        ("https://vault.example.com/", 5, "TLS alone is let through, unopened"),
        ("tcp://anything:5432", 6, "bytes pass as they are"),
        ("tls://db.example.com:5433", 7, "TLS alone is taken, with no certificate"),
    ],
)
def test_a_gateway_is_told_by_its_server_and_its_stance(call, server, takes):
    found = explained(EDGE, "edge", call)
    assert server_of(found.let_in_by) == ("Gateway default/edge", f"servers[{server}]")
    assert found.takes.startswith(takes)


def test_whom_no_server_lets_in_nothing_is_told_of():
    found = explained(EDGE, "edge", "https://elsewhere.org/")
    assert found.let_in_by is None
    assert explained(EDGE, "caller", "http://web/").takes == ""


def test_https_that_a_gateway_asks_for_is_no_rules_doing():
    found = explained(EDGE, "edge", "http://web.example.com/").trace
    assert found.branches[0].action.why == "the gateway's server takes https alone"
    assert found.near_misses == ()


@pytest.mark.parametrize(("path", "entry"), [("/api/1", "http[0].match[0]"), ("/", "http[1]")])
def test_rules_behind_https_are_named_by_their_entries(path, entry):
    found = explained(EDGE, "edge", f"https://web.example.com{path}")
    (branch,) = found.trace.branches
    assert found.origins[str(branch.route.index)].entry == entry
    assert found.skipped == ()


def opening(name, host):
    port = f"port: {{number: 80, name: {name}, protocol: HTTP}}"
    return istio("Gateway", name, f'{{selector: {{app: edge}}, servers: [{{{port}, hosts: ["{host}"]}}]}}')


SHARED = files(
    cluster("east"),
    opening("one", "a.example.com"),
    opening("two", "*.example.com"),
    istio(
        "VirtualService",
        "web",
        """
  hosts: [a.example.com]
  gateways: [one, two]
  http:
    - {match: [{gateways: [two], uri: {prefix: /two}}], route: [{destination: {host: web}}]}
    - {match: [{gateways: [one], uri: {prefix: /one}}], route: [{destination: {host: web}}]}
    - {route: [{destination: {host: web}}]}
""",
    ),
    service("web", ("http", 80)),
    deployment("web", "web"),
    deployment("edge", "edge"),
)


@pytest.mark.parametrize(
    ("path", "entry"), [("/one", "http[1].match[0]"), ("/two", "http[0].match[0]"), ("/", "http[2]")]
)
def test_a_rule_of_two_gateways_on_one_port_is_named_by_its_entries(path, entry):
    found = explained(SHARED, "edge", f"http://a.example.com{path}")
    assert found.origins[str(found.trace.branches[0].route.index)].entry == entry
    assert found.skipped == ()
    assert server_of(found.let_in_by) == ("Gateway default/one", "servers[0]")


def test_an_egress_gateway_is_told_on_both_of_its_sides():
    (arrival,) = explained(THROUGH, "caller", "http://api.example.org/").arrivals
    assert arrival.takes == "strict: mutual TLS alone is taken"
    assert server_of(arrival.let_in_by) == ("Gateway default/egress", "servers[0]")
    assert server_of(arrival.rule) == ("VirtualService default/out", "http[1].match[0]")
    (asked,) = arrival.asked.values()
    assert asked.mode == "TLS"
    assert server_of(asked.by) == (
        "DestinationRule default/outside",
        "trafficPolicy.portLevelSettings[0].tls",
    )


def test_tls_that_passes_an_egress_gateway_is_not_opened():
    (arrival,) = explained(THROUGH, "caller", "https://api.example.org/").arrivals
    assert arrival.takes.startswith("TLS alone is let through, unopened")
    assert server_of(arrival.let_in_by) == ("Gateway default/egress", "servers[1]")


def test_a_gateway_between_networks_is_told_and_who_is_behind_it():
    (arrival,) = explained(mesh(), "productpage", "http://far:9080/").arrivals
    assert arrival.takes.startswith("mutual TLS of the mesh alone is let through, unopened")
    assert server_of(arrival.let_in_by) == ("Gateway istio-system/cross-network-gateway", "servers[0]")
    assert [(each.workload, each.takes.partition(":")[0]) for each in arrival.beyond] == [
        ("default/far-v1-0", "permissive"),
        ("default/far-v1-1", "permissive"),
    ]
    assert {each.tls.mode for each in arrival.behind} == {"mutual"}


def test_an_entry_for_another_gateway_is_told_as_such():
    (skipped,) = explained(THROUGH, "caller", "http://api.example.org/").skipped
    assert skipped.why == "is for default/egress, this is mesh"


BOTH_WAYS = "permissive: tunnels in mutual TLS are taken, and plain datagrams pass the proxy by"


@pytest.mark.parametrize(
    ("call", "more", "asks", "takes"),
    [
        ("udp://names:53", (), "mutual TLS: automatic, for all its endpoints take it", {BOTH_WAYS}),
        ("udp://mixed:53", (), "plain text: a tunnel for datagrams needs a sidecar at every endpoint", {BOTH_WAYS, ""}),
        ("udp://mixed:53", (rule("mixed", "{tls: {mode: ISTIO_MUTUAL}}"),),
         "mutual TLS by DestinationRule default/mixed trafficPolicy.tls", {BOTH_WAYS}),
        ("udp://far:53", (rule("far", "{tls: {mode: DISABLE}}"),),
         "plain text by DestinationRule default/far trafficPolicy.tls", {BOTH_WAYS}),
        ("udp://headless:53", (), "", {BOTH_WAYS}),
    ],
)  # fmt: skip
def test_datagrams_are_told_on_both_sides(call, more, asks, takes):
    found = explained(datagrams(*more), "caller", call)
    said = [str(each).removeprefix("asks for ") for each in found.asked.values()]
    assert [each.startswith(asks) for each in said] == ([True] if asks else [])
    assert {each.takes for each in found.arrivals} == takes


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""


@pytest.mark.parametrize(
    ("call", "more", "refused"),
    [
        ("udp://names:53", (), False),
        ("udp://far:53", (rule("far", "{tls: {mode: DISABLE}}"),), True),
        ("udp://headless:53", (), True),
    ],
)
def test_datagrams_that_come_in_no_tunnel_are_dropped_where_the_terms_are_strict(call, more, refused):
    found = explained(datagrams(*more, STRICT), "caller", call)
    assert {bool(each.problem) for each in found.arrivals} == {refused}
    assert {each.takes.partition(":")[0] for each in found.arrivals} == {"strict"}
    assert {each.terms_by.object for each in found.arrivals} == {"PeerAuthentication istio-system/strict"}


def test_a_sidecar_takes_no_tunnels_for_ports_of_no_service():
    found = explained(datagrams(), "caller", "udp://10.10.0.1:99")
    assert [each.takes for each in found.arrivals] == [
        "plain datagrams alone are taken: they pass the proxy by"
    ]


def test_both_sides_of_gateways_are_in_the_text(tmp_path):
    path = tmp_path / "mesh.yaml"

    def said(text, caller, call):
        path.write_text(text)
        return CliRunner().invoke(main, ["explain", caller, call, "-f", str(path)]).stdout

    edge = said(EDGE, "edge", "https://web.example.com/api")
    assert f"  let in by   Gateway default/edge servers[2] ({path}:12)\n" in edge
    egress = said(THROUGH, "caller", "http://api.example.org/")
    for each in (
        "strict: mutual TLS alone is taken",
        "let in by Gateway default/egress servers[0] (",
        "and sends it on to outbound|80||api.example.org by VirtualService default/out http[1].match[0] (",
        "asks for TLS by DestinationRule default/outside trafficPolicy.portLevelSettings[0].tls (",
    ):
        assert each in egress
    assert "✓ chain api.example.org lets its TLS through" in said(
        THROUGH, "caller", "https://api.example.org/"
    )
    between = said(mesh(), "productpage", "http://far:9080/")
    assert "let in by Gateway istio-system/cross-network-gateway servers[0] (" in between
    assert between.count("permissive: mutual TLS and plain text are taken") == 2
