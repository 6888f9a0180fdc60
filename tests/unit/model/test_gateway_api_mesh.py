from __future__ import annotations

import json

import msgspec
import pytest

from fakes.gateway_api import (
    CLASS,
    GATEWAY,
    SERVICES,
    conditions,
    converted,
    derived,
    objects,
    parent,
    result_of,
    rules,
)
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Ref
from isthmus.model.names import ServiceKey
from isthmus.model.service import Port, Protocol, Service

A = "a.default.svc.cluster.local"
C = "c.other.svc.cluster.local"


def route(name="r", service="a", kind="HTTPRoute", namespace="default", to="b", **more):
    ref = {"group": "", "kind": "Service", "name": service, **more.pop("parent", {})}
    body = {"parentRefs": [ref], "rules": [{"backendRefs": [{"name": to, "port": 80}]}], **more}
    return json.dumps({"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": body})


def said(found):
    """Name, port and callers of each rule's conditions."""
    return [(each.name, m.port, m.source_namespace) for each in found for m in each.match]


def test_a_route_of_a_service_is_for_all_who_call_it():
    result = converted(route())
    (made,) = result.virtual_services
    assert (made.spec.hosts, made.spec.gateways) == ((A,), ("mesh",))
    assert made.metadata.namespace == "default"
    assert said(made.spec.http) == [("default.r.0", 0, "")]
    assert made.spec.http[0].route[0].destination.host == "b.default.svc.cluster.local"
    assert parent(result, "HTTPRoute", "r") == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }


@pytest.mark.parametrize("where", [{"port": 80}, {"sectionName": "http"}])
def test_a_route_of_one_port_leaves_the_others_as_they_are(where):
    found = rules(converted(route(parent=where)), A)
    assert said(found) == [("default.r.0", 80, ""), ("default", 9000, "")]
    assert found[1].route[0].destination.host == A
    assert found[1].route[0].destination.port.number == 9000


@pytest.mark.parametrize("where", [{"port": 81}, {"sectionName": "grpc"}, {"name": "gone"}])
def test_a_parent_that_is_not_there_is_told(where):
    result = converted(route(parent=where))
    assert parent(result, "HTTPRoute", "r")["Accepted"] == ("False", "NoMatchingParent")
    assert not result.virtual_services


def test_for_callers_of_its_namespace_a_route_from_elsewhere_counts_alone():
    mine = route("producer", service="c", namespace="other", to="c")
    theirs = route("consumer", service="c", parent={"namespace": "other"})
    found = rules(converted(mine, theirs), C)
    assert said(found) == [
        ("default.consumer.0", 0, "default"),
        ("no-route", 80, "default"),
        ("no-route", 9000, "default"),
        ("other.producer.0", 0, ""),
    ]
    assert found[1].direct_response.status == 404


def test_callers_of_other_namespaces_are_not_touched_by_a_consumers_route():
    found = rules(converted(route("consumer", service="c", parent={"namespace": "other", "port": 80})), C)
    assert said(found) == [
        ("default.consumer.0", 80, "default"),
        ("no-route", 80, "default"),
        ("default", 80, ""),
        ("default", 9000, ""),
    ]


def test_rules_of_several_routes_stand_in_the_order_in_which_they_count():
    long = [{"backendRefs": [{"name": "b", "port": 80}], "matches": [{"path": {"value": "/long"}}]}]
    found = rules(converted(route("short"), route("z-long", rules=long)), A)
    assert [each.name for each in found] == ["default.z-long.0", "default.short.0"]


def test_calls_of_grpc_count_before_other_requests():
    found = rules(converted(route("h"), route("g", kind="GRPCRoute")), A)
    assert [each.name for each in found] == ["default.g.0", "default.h.0"]


def test_connections_of_a_service_are_routed_too():
    tls = route("t", kind="TLSRoute", hostnames=["x.com"])
    result = converted(route(kind="TCPRoute", parent={"port": 9000}), tls)
    (tcp,) = rules(result, A, "tcp")
    assert (tcp.match[0].port, tcp.route[0].destination.host) == (9000, "b.default.svc.cluster.local")
    (named,) = rules(result, A, "tls")
    assert named.match[0].sni_hosts == ("x.com",)


def test_one_route_may_be_of_a_gateway_and_of_a_service():
    refs = [{"name": "web"}, {"group": "", "kind": "Service", "name": "a"}]
    result = converted(GATEWAY, route(parentRefs=refs))
    assert sorted(each.spec.hosts for each in result.virtual_services) == [("*",), (A,)]


ISTIO = "networking.istio.io"


def entry(*hosts, name="api", namespace="default"):
    spec = {"hosts": list(hosts), "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}
    return msgspec.convert({"metadata": {"name": name, "namespace": namespace}, "spec": spec}, ServiceEntry)


def outside(*texts, entries):
    """What comes of `texts` where there are `entries` and the services that are made of them."""
    keys = [ServiceKey(each.metadata.namespace, host) for each in entries for host in each.spec.hosts]
    made = {key: Service(key=key, ports=(Port(80, "http", Protocol.HTTP),), entry="api") for key in keys}
    found = [each for text in (CLASS, *texts) for each in objects(text)]
    return result_of(derived([*found, *entries], services={each.key: each for each in SERVICES} | made))


def test_a_route_of_an_entry_is_for_all_its_hosts():
    ref = {"group": ISTIO, "kind": "ServiceEntry", "name": "api"}
    result = outside(route(parent=ref), entries=[entry("a.example.com", "*.b.example.com")])
    assert [each.spec.hosts for each in result.virtual_services] == [("*.b.example.com",), ("a.example.com",)]
    assert parent(result, "HTTPRoute", "r")["Accepted"] == ("True", "Accepted")


@pytest.mark.parametrize(
    ("where", "hosts", "reason"),
    [
        ({"name": "gone"}, ["a.example.com"], "NoMatchingParent"),
        ({"port": 81}, ["a.example.com"], "NoMatchingParent"),
        ({"port": 80}, ["*.example.com"], "UnsupportedValue"),
    ],
)
def test_an_entry_that_cannot_be_a_parent_is_told(where, hosts, reason):
    ref = {"group": ISTIO, "kind": "ServiceEntry", "name": "api"} | where
    result = outside(route(parent=ref), entries=[entry(*hosts)])
    assert parent(result, "HTTPRoute", "r")["Accepted"] == ("False", reason)
    assert not result.virtual_services


def test_a_host_may_be_a_backend_that_of_the_own_namespace_first():
    hosts = [entry("x.com", namespace=each) for each in ("another", "default")]
    backend = {"group": ISTIO, "kind": "Hostname", "name": "x.com", "port": 80}
    found = route(parentRefs=[{"name": "web"}], rules=[{"backendRefs": [backend]}])
    result = outside(GATEWAY, found, entries=hosts)
    (rule,) = rules(result)
    assert (rule.route[0].destination.host, rule.route[0].destination.port.number) == ("x.com", 80)
    assert parent(result, "HTTPRoute", "r")["ResolvedRefs"] == ("True", "ResolvedRefs")
    gone = outside(GATEWAY, found, entries=[])
    assert parent(gone, "HTTPRoute", "r")["ResolvedRefs"] == ("False", "BackendNotFound")


def policy(name="p", created="2026-01-01T00:00:00Z", **more):
    validation = {"hostname": "a.internal", "wellKnownCACertificates": "System", **more.pop("validation", {})}
    target = {"group": "", "kind": "Service", "name": "a", **more.pop("target", {})}
    meta = {"name": name, "namespace": "default", "creationTimestamp": created}
    spec = {"targetRefs": [target], "validation": validation}
    return json.dumps({"kind": "BackendTLSPolicy", "metadata": meta, "spec": spec})


def through_gateway(*policies, gateway=GATEWAY):
    found = route(to="a", parentRefs=[{"name": "web"}])
    return converted(gateway, found, *policies)


def ancestor(result, name="p"):
    (found,) = result.statuses[Ref("BackendTLSPolicy", "default", name)].ancestors
    assert (found.ancestor_ref.kind, found.ancestor_ref.name) == ("Gateway", "web")
    return conditions(found)


def test_a_gateway_speaks_tls_to_a_service_that_wants_it():
    result = through_gateway(policy())
    (made,) = result.destination_rules
    assert (made.metadata.namespace, made.spec.host) == ("default", A)
    assert made.spec.workload_selector.match_labels == {"gateway.networking.k8s.io/gateway-name": "web"}
    tls = made.spec.traffic_policy.tls
    assert (tls.mode, tls.sni, tls.subject_alt_names) == ("SIMPLE", "a.internal", ("a.internal",))
    assert ancestor(result) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def test_a_ca_and_other_names_are_kept():
    names = [{"type": "Hostname", "hostname": "x.com"}, {"type": "URI", "uri": "spiffe://td/ns/a/sa/b"}]
    ca = [{"group": "", "kind": "ConfigMap", "name": "ca"}]
    validation = {"caCertificateRefs": ca, "subjectAltNames": names, "wellKnownCACertificates": ""}
    tls = through_gateway(policy(validation=validation)).destination_rules[0].spec.traffic_policy.tls
    assert tls.credential_name == "configmap://default/ca"
    assert tls.subject_alt_names == ("x.com", "spiffe://td/ns/a/sa/b")


def test_a_policy_for_one_port_is_for_that_port():
    found = through_gateway(policy(target={"sectionName": "http"})).destination_rules[0].spec.traffic_policy
    assert found.tls is None
    assert [(each.port.number, each.tls.mode) for each in found.port_level_settings] == [(80, "SIMPLE")]


def test_a_gateway_with_a_certificate_of_its_own_shows_it():
    tls = "listeners: [{name: http, port: 80, protocol: HTTP}]\n  tls: {backend: {clientCertificateRef: {name: cert}}}"
    gateway = GATEWAY.replace("listeners: [{name: http, port: 80, protocol: HTTP}]", tls)
    made = through_gateway(policy(), gateway=gateway).destination_rules[0].spec.traffic_policy.tls
    assert (made.mode, made.credential_name) == ("MUTUAL", "kubernetes-gateway://default/cert")
    assert made.ca_certificates == "system", "not the CAs of the Gateway's own Secret"
    ca = [{"group": "", "kind": "ConfigMap", "name": "ca"}]
    own = policy(validation={"caCertificateRefs": ca, "wellKnownCACertificates": ""})
    result = through_gateway(own, gateway=gateway)
    made = result.destination_rules[0].spec.traffic_policy.tls
    assert (made.credential_name, made.ca_certificates) == (
        "kubernetes-gateway://default/cert",
        "configmap://default/ca",
    )
    assert ancestor(result)["Accepted"] == ("True", "Accepted")
    gone = gateway.replace("name: cert", "name: gone")
    status = conditions(converted(gone).statuses[Ref("Gateway.gateway.networking.k8s.io", "default", "web")])
    assert status["ResolvedRefs"] == ("False", "InvalidClientCertificateRef")


def test_of_two_policies_for_one_service_the_older_counts():
    younger = policy("y", "2026-01-02T00:00:00Z", validation={"hostname": "y.internal"})
    result = through_gateway(younger, policy())
    assert result.destination_rules[0].spec.traffic_policy.tls.sni == "a.internal"
    assert ancestor(result, "y")["Accepted"] == ("False", "Conflicted")


@pytest.mark.parametrize(
    ("target", "validation", "accepted", "resolved"),
    [
        ({"sectionName": "grpc"}, {}, "TargetNotFound", "ResolvedRefs"),
        ({}, {"wellKnownCACertificates": "Mine"}, "Invalid", "ResolvedRefs"),
        (
            {},
            {
                "wellKnownCACertificates": "",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "gone"}],
            },
            "NoValidCACertificate",
            "InvalidCACertificateRef",
        ),
        (
            {},
            {
                "wellKnownCACertificates": "",
                "caCertificateRefs": [{"group": "", "kind": "Pod", "name": "ca"}],
            },
            "NoValidCACertificate",
            "InvalidKind",
        ),
    ],
)
def test_a_policy_that_cannot_hold_is_told(target, validation, accepted, resolved):
    result = through_gateway(policy(target=target, validation=validation))
    assert ancestor(result)["Accepted"] == ("False", accepted)
    assert ancestor(result)["ResolvedRefs"][1] == resolved
    assert result.findings


def test_connections_fail_rather_than_trust_anybody():
    gone = {
        "wellKnownCACertificates": "",
        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "gone"}],
    }
    (made,) = through_gateway(policy(validation=gone)).destination_rules
    assert made.spec.traffic_policy.tls.credential_name.startswith("invalid://")


def test_a_policy_is_for_the_gateways_that_call_the_service_only():
    result = converted(GATEWAY, policy())
    assert not result.destination_rules
    assert result.statuses[Ref("BackendTLSPolicy", "default", "p")].ancestors == ()
