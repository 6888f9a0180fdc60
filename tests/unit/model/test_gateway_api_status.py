from __future__ import annotations

import json

import msgspec
import pytest

from fakes.gateway_api import CLASS, GATEWAY, conditions, converted, outside, parent
from isthmus.api.core.service import ServiceSpec
from isthmus.api.resource import Ref

KIND = "Gateway.gateway.networking.k8s.io"


def gateway(*listeners, **spec):
    meta = {"name": "web", "namespace": "default", "generation": 3}
    body = {"gatewayClassName": "istio", "listeners": list(listeners), **spec}
    return json.dumps({"kind": "Gateway", "metadata": meta, "spec": body})


def listener(name, port=80, protocol="HTTP", **more):
    return {"name": name, "port": port, "protocol": protocol, **more}


def secure(name, hostname, secret="cert", **more):
    refs = {"certificateRefs": [{"name": secret}]}
    host = {"hostname": hostname} if hostname else {}
    return listener(name, 443, "HTTPS", tls=refs | more, **host)


def route(name="r", kind="HTTPRoute", namespace="default", parents=({},), **spec):
    refs = [{"name": "web", "namespace": "default", **each} for each in parents]
    rules = [{"backendRefs": [{"name": "a", "port": 80}]}]
    body = {"parentRefs": refs, "rules": rules, **spec}
    return json.dumps({"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": body})


def of_gateway(result):
    return conditions(result.statuses[Ref(KIND, "default", "web")])


def of_listener(result, name):
    (found,) = [each for each in result.statuses[Ref(KIND, "default", "web")].listeners if each.name == name]
    return found


def accepted(result, kind="HTTPRoute", name="r", namespace="default", index=0):
    return parent(result, kind, name, namespace, index)["Accepted"]


def hosts(result):
    return sorted(host for each in result.virtual_services for host in each.spec.hosts)


GOOD = {
    "Accepted": ("True", "Accepted"),
    "Conflicted": ("False", "NoConflicts"),
    "ResolvedRefs": ("True", "ResolvedRefs"),
    "Programmed": ("True", "Programmed"),
}


def test_a_good_gateway_is_accepted_programmed_and_reached():
    result = converted(GATEWAY, route())
    status = result.statuses[Ref(KIND, "default", "web")]
    assert of_gateway(result) == {
        "Accepted": ("True", "Accepted"),
        "Programmed": ("True", "Programmed"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    assert [(each.type, each.value) for each in status.addresses] == [("IPAddress", "192.0.2.1")]
    (found,) = status.listeners
    assert conditions(found) == GOOD
    assert [each.kind for each in found.supported_kinds] == ["HTTPRoute", "GRPCRoute"]
    assert found.attached_routes == 1
    assert {each.observed_generation for each in (*status.conditions, *found.conditions)} == {3}
    assert conditions(result.statuses[Ref("GatewayClass", "", "istio")]) == {"Accepted": ("True", "Accepted")}


def test_gateways_of_other_controllers_are_left_alone_with_their_routes():
    other = GATEWAY.replace("istio", "nginx")
    result = converted(other, route())
    assert not result.gateways
    assert set(result.statuses) == {Ref("GatewayClass", "", "istio"), Ref("HTTPRoute", "default", "r")}
    assert not result.statuses[Ref("HTTPRoute", "default", "r")].parents


def test_parameters_that_nobody_reads_are_told():
    text = CLASS.replace(
        "controllerName", "parametersRef: {group: '', kind: ConfigMap, name: x}, controllerName"
    )
    result = converted(text.replace("name: istio}", "name: mine}"))
    assert conditions(result.statuses[Ref("GatewayClass", "", "mine")])["Accepted"][1] == "InvalidParameters"
    (told,) = result.findings
    assert (told.ref, told.path) == (Ref("GatewayClass", "", "mine"), "$.spec.parametersRef")
    ref = {"infrastructure": {"parametersRef": {"group": "", "kind": "ConfigMap", "name": "x"}}}
    result = converted(gateway(listener("http"), **ref), route())
    assert of_gateway(result)["Accepted"] == ("False", "InvalidParameters")
    assert of_gateway(result)["Programmed"] == ("False", "Invalid")
    assert not result.gateways
    assert not result.virtual_services


@pytest.mark.parametrize(
    ("asked", "reached", "type_", "reason"),
    [
        ([], (), "Programmed", "AddressNotAssigned"),
        ([{"value": "192.0.2.9"}], ("192.0.2.1",), "Programmed", "AddressNotUsable"),
        ([{"type": "example.com/pool", "value": "x"}], ("192.0.2.1",), "Accepted", "UnsupportedAddress"),
    ],
)
def test_an_address_that_it_has_not_is_told(asked, reached, type_, reason):
    own = {("default", "web-istio"): outside(*reached)}
    result = converted(gateway(listener("http"), addresses=asked), own_services=own)
    assert of_gateway(result)[type_] == ("False", reason)


def test_a_service_of_its_name_that_leads_elsewhere_is_not_its_own():
    theirs = outside("192.0.2.1")
    theirs = msgspec.structs.replace(theirs, spec=ServiceSpec(selector={"app": "theirs"}))
    result = converted(gateway(listener("http")), own_services={("default", "web-istio"): theirs})
    told = result.statuses[Ref(KIND, "default", "web")]
    assert not told.addresses
    assert conditions(told)["Programmed"] == ("False", "AddressNotAssigned")
    (message,) = [each.message for each in told.conditions if each.type == "Programmed"]
    assert message.startswith("Service web-istio leads to other pods (hint: ")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (listener("a"), listener("b", protocol="TCP"), "ProtocolConflict"),
        (listener("a", 443), secure("b", "x.com"), "ProtocolConflict"),
        (
            listener("a", hostname="x.com"),
            listener("b", protocol="http", hostname="x.com"),
            "HostnameConflict",
        ),
        (
            secure("a", "x.com"),
            listener("b", 443, "TLS", hostname="x.com", tls={"mode": "Passthrough"}),
            "ProtocolConflict",
        ),
    ],
)
def test_listeners_that_cannot_be_told_apart_are_both_not_run(one, other, reason):
    result = converted(gateway(one, other, listener("c", 8080)), route(parents=[{"sectionName": "c"}]))
    for name in ("a", "b"):
        said = conditions(of_listener(result, name))
        assert said["Conflicted"] == ("True", reason)
        assert said["Accepted"] == ("False", "Invalid")
        assert said["Programmed"] == ("False", "Invalid")
    assert conditions(of_listener(result, "c")) == GOOD
    assert of_gateway(result)["Accepted"] == ("True", "ListenersNotValid")
    assert [each.spec.servers[0].port.number for each in result.gateways] == [8080]


def test_a_gateway_without_any_right_listener_is_not_accepted():
    result = converted(gateway(listener("dns", 53, "UDP")))
    assert conditions(of_listener(result, "dns"))["Accepted"] == ("False", "UnsupportedProtocol")
    assert of_gateway(result)["Accepted"] == ("False", "ListenersNotValid")
    assert of_gateway(result)["Programmed"] == ("False", "Invalid")


def test_a_certificate_becomes_a_credential():
    two = secure("b", "b.com")
    two["tls"]["certificateRefs"].append({"name": "cert-2"})
    result = converted(gateway(secure("a", "a.com"), two))
    one, other = (each.spec.servers[0] for each in result.gateways)
    assert (one.port.protocol, one.hosts, one.tls.mode) == ("HTTPS", ("a.com",), "SIMPLE")
    assert one.tls.credential_name == "kubernetes-gateway://default/cert"
    assert other.tls.credential_names == (
        "kubernetes-gateway://default/cert",
        "kubernetes-gateway://default/cert-2",
    )


SECRET_GRANT = """
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: "", kind: Secret, name: cert}]
"""


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"name": "gone"}, "InvalidCertificateRef"),
        ({"name": "cert", "kind": "ConfigMap"}, "InvalidCertificateRef"),
        ({"name": "cert", "namespace": "other"}, "RefNotPermitted"),
    ],
)
def test_a_listener_without_its_certificate_is_not_run(ref, reason):
    wrong = listener("a", 443, "HTTPS", tls={"certificateRefs": [ref]})
    result = converted(gateway(wrong), route())
    said = conditions(of_listener(result, "a"))
    assert said["ResolvedRefs"] == ("False", reason)
    assert said["Programmed"] == ("False", "Invalid")
    assert of_gateway(result)["ResolvedRefs"] == ("False", "ListenersNotResolved")
    assert not result.gateways
    assert of_listener(result, "a").attached_routes == 1
    assert result.findings[0].path == "$.spec.listeners[0].tls.certificateRefs[0]"


def test_a_secret_of_another_namespace_may_be_granted():
    far = listener("a", 443, "HTTPS", tls={"certificateRefs": [{"name": "cert", "namespace": "other"}]})
    result = converted(gateway(far), SECRET_GRANT)
    assert result.gateways[0].spec.servers[0].tls.credential_name == "kubernetes-gateway://other/cert"


def test_certificates_of_clients_are_asked_for_on_all_ports_or_on_one():
    refs = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    other = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca-2"}]}
    per_port = [{"port": 8443, "tls": {"validation": other}}]
    tls = {"frontend": {"default": {"validation": refs}, "perPort": per_port}}
    found = [secure("a", "a.com"), secure("b", "b.com") | {"port": 8443}]
    result = converted(gateway(*found, tls=tls))
    said = [each.spec.servers[0].tls for each in result.gateways]
    assert [(each.mode, each.ca_cert_credential_name) for each in said] == [
        ("MUTUAL", "configmap://default/ca"),
        ("MUTUAL", "configmap://default/ca-2"),
    ]


@pytest.mark.parametrize(
    ("validation", "accepted_", "resolved"),
    [
        ({"name": "gone"}, "NoValidCACertificate", "InvalidCACertificateRef"),
        ({"name": "ca", "kind": "Pod"}, "NoValidCACertificate", "InvalidCACertificateKind"),
        ({"name": "ca", "mode": "AllowInsecureFallback"}, "UnsupportedValue", "ResolvedRefs"),
    ],
)
def test_clients_are_not_let_in_unchecked_where_their_certificates_cannot_be_checked(
    validation, accepted_, resolved
):
    mode = {"mode": validation.pop("mode")} if "mode" in validation else {}
    ref = {"group": "", "kind": "ConfigMap", **validation}
    tls = {"frontend": {"default": {"validation": {"caCertificateRefs": [ref], **mode}}}}
    result = converted(gateway(secure("a", "a.com"), tls=tls))
    said = conditions(of_listener(result, "a"))
    assert said["Accepted"] == ("False", accepted_)
    assert said["ResolvedRefs"][1] == resolved
    assert not result.gateways


def test_a_listener_takes_those_kinds_of_routes_that_it_is_told_and_can():
    kinds = {"kinds": [{"kind": "GRPCRoute"}, {"kind": "TCPRoute"}]}
    result = converted(gateway(listener("a", allowedRoutes=kinds)), route(), route("g", "GRPCRoute"))
    found = of_listener(result, "a")
    assert [each.kind for each in found.supported_kinds] == ["GRPCRoute"]
    assert conditions(found)["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert conditions(found)["Programmed"] == ("True", "Programmed")
    assert accepted(result) == ("False", "NotAllowedByListeners")
    assert accepted(result, "GRPCRoute", "g") == ("True", "Accepted")
    assert found.attached_routes == 1


@pytest.mark.parametrize(
    ("namespaces", "let_in"),
    [
        ({}, {"default"}),
        ({"from": "Same"}, {"default"}),
        ({"from": "All"}, {"default", "other", "third"}),
        ({"from": "None"}, set()),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "blue"}}}, {"other"}),
        (
            {
                "from": "Selector",
                "selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
            },
            {"default", "third"},
        ),
        (
            {
                "from": "Selector",
                "selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["blue"]}]},
            },
            {"other"},
        ),
    ],
)
def test_routes_are_let_in_from_the_namespaces_that_a_listener_allows(namespaces, let_in):
    found = gateway(listener("a", allowedRoutes={"namespaces": namespaces}))
    result = converted(found, *(route(namespace=each) for each in ("default", "other", "third")))
    for namespace in ("default", "other", "third"):
        wanted = ("True", "Accepted") if namespace in let_in else ("False", "NotAllowedByListeners")
        assert accepted(result, namespace=namespace) == wanted
    assert of_listener(result, "a").attached_routes == len(let_in)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({"sectionName": "a"}, ("True", "Accepted")),
        ({"sectionName": "z"}, ("False", "NoMatchingParent")),
        ({"port": 8080}, ("True", "Accepted")),
        ({"port": 9}, ("False", "NoMatchingParent")),
        ({"sectionName": "a", "port": 8080}, ("False", "NoMatchingParent")),
    ],
)
def test_a_route_may_name_a_listener_and_a_port(where, wanted):
    result = converted(gateway(listener("a"), listener("b", 8080)), route(parents=[where]))
    assert accepted(result) == wanted


def test_each_parent_is_told_by_itself():
    result = converted(GATEWAY, route(parents=[{"sectionName": "http"}, {"sectionName": "z"}]))
    assert [accepted(result, index=index)[0] for index in (0, 1)] == ["True", "False"]
    status = result.statuses[Ref("HTTPRoute", "default", "r")].parents
    assert [each.parent_ref.section_name for each in status] == ["http", "z"]
    assert {each.controller_name for each in status} == {"istio.io/gateway-controller"}


@pytest.mark.parametrize(
    ("own", "asked", "made"),
    [
        ("", [], ["*"]),
        ("", ["a.com"], ["a.com"]),
        ("a.com", [], ["a.com"]),
        ("*.com", ["x.com", "y.x.com", "x.net"], ["x.com", "y.x.com"]),
        ("x.y.com", ["*.com"], ["x.y.com"]),
        ("*.y.com", ["*.com"], ["*.y.com"]),
        ("*.com", ["*.y.com"], ["*.y.com"]),
        ("*.a.com", ["a.com"], None),
        ("a.com", ["b.com"], None),
    ],
)
def test_a_route_is_for_the_hosts_that_it_has_in_common_with_the_listener(own, asked, made):
    found = gateway(listener("a", **({"hostname": own} if own else {})))
    result = converted(found, route(hostnames=asked))
    if made is None:
        assert accepted(result) == ("False", "NoMatchingListenerHostname")
        assert of_listener(result, "a").attached_routes == 0
    assert hosts(result) == (made or [])


def test_a_host_is_the_most_specific_listeners_alone():
    found = gateway(
        listener("all"), listener("wide", hostname="*.x.com"), listener("exact", hostname="a.x.com")
    )
    names = ["a.x.com", "b.x.com", "c.com"]
    result = converted(
        found,
        route("for-all", parents=[{"sectionName": "all"}], hostnames=names),
        route("for-wide", parents=[{"sectionName": "wide"}], hostnames=names),
        route("for-exact", parents=[{"sectionName": "exact"}], hostnames=names),
    )
    made = {
        host: (
            each.metadata.annotations["internal.istio.io/parents"],
            each.spec.gateways[0].rpartition("-")[2],
        )
        for each in result.virtual_services
        for host in each.spec.hosts
    }
    assert made == {
        "a.x.com": ("HTTPRoute/for-exact.default", "exact"),
        "b.x.com": ("HTTPRoute/for-wide.default", "wide"),
        "c.com": ("HTTPRoute/for-all.default", "all"),
        "*.x.com": ("", "wide"),  # what no route of the narrower listener takes is not the wider one's
    }
    (closed,) = [each for each in result.virtual_services if "*.x.com" in each.spec.hosts]
    assert closed.spec.http[0].direct_response.status == 404


def test_https_listeners_whose_hosts_overlap_are_told():
    result = converted(gateway(secure("a", "*.x.com"), secure("b", "b.x.com"), secure("c", "c.com")))
    said = {name: conditions(of_listener(result, name)).get("OverlappingTLSConfig") for name in "abc"}
    overlap = ("True", "OverlappingHostnames")
    assert said == {"a": overlap, "b": overlap, "c": None}


def test_connections_go_by_their_server_name():
    found = gateway(listener("tls", 443, "TLS", hostname="*.x.com", tls={"mode": "Passthrough"}))
    result = converted(found, route(kind="TLSRoute", hostnames=["a.x.com", "b.com"]))
    (config,) = result.gateways
    assert config.spec.servers[0].tls.mode == "PASSTHROUGH"
    (made,) = result.virtual_services
    assert made.spec.hosts == ("a.x.com",)
    assert made.spec.tls[0].match[0].sni_hosts == ("a.x.com",)
    assert made.spec.tls[0].route[0].destination.host == "a.default.svc.cluster.local"


def test_a_server_name_is_the_older_routes():
    found = gateway(listener("tls", 443, "TLS", tls={"mode": "Passthrough"}))
    result = converted(
        found,
        route("a", kind="TLSRoute", hostnames=["x.com"]),
        route("b", kind="TLSRoute", hostnames=["x.com"]),
        route("c", kind="TLSRoute", hostnames=["x.com", "y.com"]),
    )
    assert accepted(result, "TLSRoute", "b") == ("False", "Conflicted")
    assert hosts(result) == ["x.com", "y.com"]


def test_connections_to_a_wrong_backend_are_ended_by_its_share():
    found = gateway(listener("tcp", 9000, "TCP"))
    backends = [{"name": "a", "port": 9000, "weight": 3}, {"name": "gone", "port": 1, "weight": 1}]
    result = converted(found, route(kind="TCPRoute", rules=[{"backendRefs": backends}]))
    (made,) = result.virtual_services
    assert made.spec.hosts == ("*",)
    shares = made.spec.tcp[0].route
    assert [(each.destination.host, each.weight) for each in shares] == [
        ("a.default.svc.cluster.local", 3),
        ("no-such-backend.invalid", 1),
    ]
    assert parent(result, "TCPRoute", "r")["ResolvedRefs"] == ("False", "BackendNotFound")


def test_a_tcp_listener_is_the_older_routes():
    result = converted(gateway(listener("tcp", 9000, "TCP")), route("a", "TCPRoute"), route("b", "TCPRoute"))
    assert accepted(result, "TCPRoute", "a") == ("True", "Accepted")
    assert accepted(result, "TCPRoute", "b") == ("False", "Conflicted")
    assert len(result.virtual_services) == 1


def test_tls_may_end_at_the_gateway_and_go_on_as_tcp():
    found = gateway(
        listener("tls", 443, "TLS", hostname="db.x.com", tls={"certificateRefs": [{"name": "cert"}]})
    )
    result = converted(found, route(kind="TCPRoute"), route("t", "TLSRoute", hostnames=["db.x.com"]))
    assert result.gateways[0].spec.servers[0].tls.mode == "SIMPLE"
    (made,) = result.virtual_services
    assert (made.spec.hosts, len(made.spec.tcp)) == (("db.x.com",), 1)
    assert accepted(result, "TLSRoute", "t") == ("False", "NotAllowedByListeners")


def test_hosts_and_listeners_whose_names_run_together_keep_rules_of_their_own():
    found = gateway(listener("a"), listener("a-b", 8080), listener("c", 8081))
    result = converted(
        found,
        route("one", parents=[{"sectionName": "a"}], hostnames=["b-x.com"]),
        route("two", parents=[{"sectionName": "a-b"}], hostnames=["x.com"]),
        route("three", parents=[{"sectionName": "c"}], hostnames=["*.x.com", "any.x.com"]),
    )
    assert hosts(result) == ["*.x.com", "any.x.com", "b-x.com", "x.com"]


def test_of_many_listeners_some_are_named():
    found = gateway(*(listener(f"l{number}", 80 + number) for number in range(64)))
    result = converted(found, route(parents=[{"sectionName": "gone"}]))
    (told,) = result.findings
    assert told.message.endswith(
        "(hint: it has l0 on 80, l1 on 81, l2 on 82, l3 on 83, l4 on 84, and 59 more)"
    )
