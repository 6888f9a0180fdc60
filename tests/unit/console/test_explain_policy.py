"""How a call is sent and how it is taken, each with the object that says so."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fakes.ruled_manifests import istio, ruled
from isthmus.console.cli import main
from simulate import explained


def rule(policy, more=""):
    return istio("DestinationRule", "ratings", f"{{host: ratings, trafficPolicy: {policy}{more}}}")


def peers(spec, namespace="default"):
    kind = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication"
    return f"{kind}\nmetadata: {{name: terms, namespace: {namespace}}}\nspec: {spec}\n"


OF_RATINGS = "{selector: {matchLabels: {app: ratings}}, mtls: {mode: %s}}"


@pytest.mark.parametrize(
    ("mode", "sent", "takes"),
    [
        ("STRICT", "mutual", "strict: mutual TLS alone is taken"),
        ("PERMISSIVE", "mutual", "permissive: mutual TLS and plain text are taken"),
        ("DISABLE", "plain", "disabled: plain text is taken; TLS, if there is any, is the application's own"),
    ],
)
def test_callers_come_on_the_terms_of_the_other_side(mode, sent, takes):
    _, upstream, arrival = call(peers(OF_RATINGS % mode))
    assert {each.tls.mode for each in upstream.endpoints} == {sent}
    assert (arrival.takes, arrival.problem) == (takes, "")
    assert (arrival.terms_by.object, arrival.terms_by.entry) == (
        "PeerAuthentication default/terms",
        "mtls.mode",
    )
    assert arrival.terms_by.place.startswith("case.yaml:")


@pytest.mark.parametrize(
    ("policy", "mode", "problem"),
    [
        ("{tls: {mode: DISABLE}}", "STRICT", "no filter chain matches"),
        ("{tls: {mode: ISTIO_MUTUAL}}", "DISABLE", "mutual TLS is passed on to the application"),
    ],
)
def test_who_comes_on_other_terms_is_refused_and_both_that_say_it_are_told(policy, mode, problem):
    found, upstream, arrival = call(rule(policy), peers(f"{{mtls: {{mode: {mode}}}}}", "istio-system"))
    assert arrival.problem == problem
    assert found.asked[upstream.name].by.object == "DestinationRule default/ratings"
    assert arrival.terms_by.object == "PeerAuthentication istio-system/terms"


def test_the_nearest_that_says_it_decides_over_a_port():
    ports = "{selector: {matchLabels: {app: ratings}}, portLevelMtls: {%s: {mode: STRICT}}}"
    _, _, arrival = call(peers("{mtls: {mode: DISABLE}}", "istio-system"), peers(ports % 9080))
    assert (arrival.terms_by.object, arrival.terms_by.entry) == (
        "PeerAuthentication default/terms",
        "portLevelMtls[9080].mode",
    )
    _, _, arrival = call(peers("{mtls: {mode: DISABLE}}", "istio-system"), peers(ports % 1))
    assert arrival.terms_by.object == "PeerAuthentication istio-system/terms"


def sidecar(spec):
    return istio("Sidecar", "ratings", f"\n  workloadSelector: {{labels: {{app: ratings}}}}\n{spec}")


def call(*documents, url="http://ratings:9080/"):
    found = explained(ruled(*documents), "productpage", url)
    ((_, upstream),) = found.trace.forwards
    return found, upstream, found.arrivals[0]


@pytest.mark.parametrize("documents", [(), (rule("{loadBalancer: {simple: RANDOM}}"),)])
def test_without_a_word_mutual_tls_is_automatic(documents):
    found, upstream, _ = call(*documents)
    said = found.asked[upstream.name]
    assert str(said) == "asks for mutual TLS: automatic, where an endpoint takes it"
    assert said.by is None


def test_a_headless_service_is_spoken_to_as_all_its_endpoints_are():
    found, upstream, _ = call(url="tcp://stateful:9042")
    assert found.asked[upstream.name].why == "automatic, for all its endpoints take it"


@pytest.mark.parametrize(
    ("policy", "mode", "entry"),
    [
        ("{tls: {mode: DISABLE}}", "plain text", "trafficPolicy.tls"),
        ("{tls: {mode: ISTIO_MUTUAL}}", "mutual TLS", "trafficPolicy.tls"),
        ("{tls: {mode: SIMPLE}}", "TLS", "trafficPolicy.tls"),
        ("{portLevelSettings: [{port: {number: 1}}, {port: {number: 9080}, tls: {mode: DISABLE}}]}",
         "plain text", "trafficPolicy.portLevelSettings[1].tls"),
        ("{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 1}, tls: {mode: SIMPLE}}]}",
         "plain text", "trafficPolicy.tls"),
    ],
)  # fmt: skip
def test_tls_that_a_rule_asks_for_is_told_by_its_path_and_line(policy, mode, entry):
    found, upstream, _ = call(rule(policy))
    said = found.asked[upstream.name]
    assert (said.mode, said.by.object, said.by.entry) == (mode, "DestinationRule default/ratings", entry)
    assert said.by.place.startswith("case.yaml:")


def test_a_port_of_which_something_else_is_said_is_automatic_again():
    found, upstream, _ = call(
        rule(
            "{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 9080}, loadBalancer: {simple: RANDOM}}]}"
        )
    )
    assert found.asked[upstream.name].by is None


def test_tls_of_a_subset_comes_before_that_of_its_host():
    subset = "{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}"
    route = istio(
        "VirtualService",
        "ratings",
        "{hosts: [ratings], http: [{route: [{destination: {host: ratings, subset: v1}}]}]}",
    )
    found, upstream, _ = call(rule("{tls: {mode: ISTIO_MUTUAL}}", f", subsets: [{subset}]"), route)
    said = found.asked[upstream.name]
    assert (said.mode, said.by.entry) == ("plain text", "subsets[0].trafficPolicy.tls")


def test_the_other_side_takes_both_without_a_word():
    _, _, arrival = call()
    assert arrival.takes == "permissive: mutual TLS and plain text are taken"
    assert arrival.let_in_by is None
    assert arrival.terms_by is None


@pytest.mark.parametrize(
    ("tls", "takes"),
    [
        (
            "{mode: MUTUAL, serverCertificate: /a, privateKey: /b, caCertificates: /c}",
            "strict: mutual TLS alone",
        ),
        (
            "{mode: SIMPLE, serverCertificate: /a, privateKey: /b}",
            "TLS alone is taken, with no certificate asked",
        ),
    ],
)
def test_tls_of_an_ingress_is_what_is_taken_there(tls, takes):
    port = "port: {number: 9080, protocol: HTTPS, name: https}, defaultEndpoint: '127.0.0.1:80'"
    assert call(sidecar(f"  ingress: [{{{port}, tls: {tls}}}]"))[2].takes.startswith(takes)


def test_limits_of_the_callers_side_are_told():
    pool = (
        "{tcp: {maxConnections: 10}, http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRetries: 4}}"
    )
    _, upstream, _ = call(rule(f"{{connectionPool: {pool}}}"))
    assert upstream.limits == (
        "10 connections",
        "2 requests waiting",
        "3 requests at once",
        "4 retries at once",
    )
    assert call()[1].limits == ()


INGRESS = "  ingress: [{port: {number: 9080, protocol: HTTP, name: http}, connectionPool: {tcp: {maxConnections: 7}}}]"


def test_the_ingress_that_lets_a_call_in_is_told_with_its_limits():
    _, _, arrival = call(sidecar(INGRESS))
    assert (arrival.let_in_by.object, arrival.let_in_by.entry) == ("Sidecar default/ratings", "ingress[0]")
    ((_, inbound),) = arrival.trace.forwards
    assert inbound.limits == ("7 connections",)


def test_a_sidecar_without_ingress_for_the_port_lets_nothing_in():
    other = "  ingress: [{port: {number: 1234, protocol: HTTP, name: http}}]"
    assert call(sidecar(other))[2].let_in_by is None


def test_limits_of_all_ports_of_a_workload_are_told_too():
    _, _, arrival = call(sidecar("  inboundConnectionPool: {http: {http2MaxRequests: 9}}"))
    ((_, inbound),) = arrival.trace.forwards
    assert inbound.limits == ("9 requests at once",)


@pytest.fixture
def manifests(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(
        ruled(rule("{tls: {mode: DISABLE}, connectionPool: {tcp: {maxConnections: 10}}}"), sidecar(INGRESS))
    )
    return path


def shown(path, *more):
    return (
        CliRunner()
        .invoke(main, ["explain", "productpage", "http://ratings:9080/", "-f", str(path), *more])
        .stdout
    )


def test_both_sides_are_in_the_text(manifests):
    said = shown(manifests)
    for each in (
        "asks for plain text by DestinationRule default/ratings trafficPolicy.tls (",
        "at most 10 connections",
        "permissive: mutual TLS and plain text are taken",
        "let in by Sidecar default/ratings ingress[0] (",
        "at most 7 connections",
    ):
        assert each in said


def test_both_sides_are_in_the_json(manifests):
    said = json.loads(shown(manifests, "-o", "json"))
    (asked,) = said["asked"].values()
    assert asked["by"]["entry"] == "trafficPolicy.tls"
    assert said["arrivals"][0]["let_in_by"]["entry"] == "ingress[0]"
    assert said["arrivals"][0]["takes"].startswith("permissive")
