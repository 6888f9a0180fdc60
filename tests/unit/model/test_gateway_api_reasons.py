"""Every condition and reason that the specification has for the kinds that are read, each told where it should be."""

from __future__ import annotations

import json

import pytest

from fakes.gateway_api import CLASS, GATEWAY, converted, outside

SPECIFIED = {
    "GatewayClass": {
        "Accepted": "Accepted InvalidParameters Pending Unsupported",
        "SupportedVersion": "SupportedVersion UnsupportedVersion",
    },
    "Gateway": {
        "Accepted": "Accepted ListenersNotValid Invalid InvalidParameters UnsupportedAddress Pending",
        "Programmed": "Programmed Invalid NoResources AddressNotAssigned AddressNotUsable Pending",
        "ResolvedRefs": "ResolvedRefs RefNotPermitted InvalidClientCertificateRef ListenersNotResolved",
    },
    "Listener": {
        "Accepted": "Accepted PortUnavailable UnsupportedProtocol NoValidCACertificate UnsupportedValue Invalid "
        "Pending",
        "Conflicted": "NoConflicts HostnameConflict ProtocolConflict",
        "ResolvedRefs": "ResolvedRefs InvalidCertificateRef InvalidRouteKinds RefNotPermitted InvalidCACertificateRef "
        "InvalidCACertificateKind",
        "Programmed": "Programmed Invalid Pending",
        "OverlappingTLSConfig": "OverlappingHostnames OverlappingCertificates",
    },
    "Route": {
        "Accepted": "Accepted NotAllowedByListeners NoMatchingListenerHostname NoMatchingParent UnsupportedValue "
        "IncompatibleFilters Conflicted Pending",
        "ResolvedRefs": "ResolvedRefs RefNotPermitted InvalidKind BackendNotFound UnsupportedProtocol",
        "PartiallyInvalid": "UnsupportedValue IncompatibleFilters",
    },
    "BackendTLSPolicy": {
        "Accepted": "Accepted Conflicted Invalid TargetNotFound NoValidCACertificate",
        "ResolvedRefs": "ResolvedRefs InvalidCACertificateRef InvalidKind",
    },
}
NEVER = {
    # Whatever is known is told at once: nobody waits for us, and the first word is that of the definition itself.
    ("GatewayClass", "Accepted", "Pending"),
    ("Gateway", "Accepted", "Pending"),
    ("Gateway", "Programmed", "Pending"),
    ("Listener", "Accepted", "Pending"),
    ("Listener", "Programmed", "Pending"),
    ("Route", "Accepted", "Pending"),
    # Every class of our controller is supported, in every version that a cluster serves.
    ("GatewayClass", "Accepted", "Unsupported"),
    ("GatewayClass", "SupportedVersion", "SupportedVersion"),
    ("GatewayClass", "SupportedVersion", "UnsupportedVersion"),
    ("Gateway", "Accepted", "Invalid"),  # there is a word for each thing that is wrong
    ("Gateway", "Programmed", "NoResources"),  # what pods lack is said by their Deployment
    (
        "Listener",
        "OverlappingTLSConfig",
        "OverlappingCertificates",
    ),  # hosts that overlap are told in any case
}
"""Reasons that nobody is told here, and why."""


def doc(kind, name="x", /, namespace="default", created="2026-01-02T00:00:00Z", **spec):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return json.dumps({"kind": kind, "metadata": meta, "spec": spec})


def gateway(*listeners, **more):
    return doc("Gateway", "web", gatewayClassName="istio", listeners=list(listeners), **more)


def listener(name="http", port=80, protocol="HTTP", **more):
    return {"name": name, "port": port, "protocol": protocol, **more}


def secure(name="s", port=443, secret="cert", **more):
    return listener(name, port, "HTTPS", tls={"certificateRefs": [{"name": secret}]}, **more)


def route(*rules, kind="HTTPRoute", name="r", **more):
    spec = {
        "parentRefs": [{"name": "web", "namespace": "default"}],
        "rules": list(rules) or [to("a")],
        **more,
    }
    return doc(kind, name, **spec)


def to(name, port=80, **more):
    return {"backendRefs": [{"name": name, "port": port, **more}]}


def clients(**ref):
    found = {"group": "", "kind": "ConfigMap", "name": "ca", **ref}
    return {"frontend": {"default": {"validation": {"caCertificateRefs": [found]}}}}


def policy(name="p", created="2026-01-01T00:00:00Z", target="a", **validation):
    usual = {"hostname": "a.internal"} | (validation or {"wellKnownCACertificates": "System"})
    targets = [
        {"group": "", "kind": "Service", "name": "a", **({"sectionName": target} if target != "a" else {})}
    ]
    meta = {"name": name, "namespace": "default", "creationTimestamp": created}
    return json.dumps(
        {"kind": "BackendTLSPolicy", "metadata": meta, "spec": {"targetRefs": targets, "validation": usual}}
    )


def ca(**ref):
    return [{"group": "", "kind": "ConfigMap", "name": "ca", **ref}]


OWN = {"backend": {"clientCertificateRef": {"name": "cert"}}}
WRONG = to("a") | {"filters": [{"type": "Unknown"}]}
BOTH = {
    "filters": [
        {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.com"}},
        {"type": "URLRewrite", "urlRewrite": {"hostname": "c.com"}},
    ]
}
CASES = {
    ("GatewayClass", "Accepted", "Accepted"): [],
    ("GatewayClass", "Accepted", "InvalidParameters"): [
        CLASS.replace("controllerName", "parametersRef: {group: '', kind: X, name: x}, controllerName")
    ],
    ("Gateway", "Accepted", "Accepted"): [GATEWAY],
    ("Gateway", "Accepted", "ListenersNotValid"): [
        gateway(listener(), listener("t", 80, "TCP"), listener("b", 8080))
    ],
    ("Gateway", "Accepted", "InvalidParameters"): [
        gateway(listener(), infrastructure={"parametersRef": {"group": "", "kind": "X", "name": "x"}})
    ],
    ("Gateway", "Accepted", "UnsupportedAddress"): [
        gateway(listener(), addresses=[{"type": "example.com/pool", "value": "x"}])
    ],
    ("Gateway", "Programmed", "Programmed"): [GATEWAY],
    ("Gateway", "Programmed", "Invalid"): [gateway(listener("u", 53, "UDP"))],
    ("Gateway", "Programmed", "AddressNotAssigned"): [GATEWAY],
    ("Gateway", "Programmed", "AddressNotUsable"): [gateway(listener(), addresses=[{"value": "192.0.2.9"}])],
    ("Gateway", "ResolvedRefs", "ResolvedRefs"): [GATEWAY],
    ("Gateway", "ResolvedRefs", "RefNotPermitted"): [
        gateway(listener(), tls={"backend": {"clientCertificateRef": {"name": "cert", "namespace": "other"}}})
    ],
    ("Gateway", "ResolvedRefs", "InvalidClientCertificateRef"): [
        gateway(listener(), tls={"backend": {"clientCertificateRef": {"name": "gone"}}})
    ],
    ("Gateway", "ResolvedRefs", "ListenersNotResolved"): [gateway(secure(secret="gone"))],
    ("Listener", "Accepted", "Accepted"): [GATEWAY],
    ("Listener", "Accepted", "PortUnavailable"): [gateway(listener(port=15021))],
    ("Listener", "Accepted", "UnsupportedProtocol"): [gateway(listener("u", 53, "UDP"))],
    ("Listener", "Accepted", "NoValidCACertificate"): [gateway(secure(), tls=clients(name="gone"))],
    ("Listener", "Accepted", "UnsupportedValue"): [
        gateway(listener("t", 443, "TLS", tls={"options": {"gateway.istio.io/tls-terminate-mode": "X"}}))
    ],
    ("Listener", "Accepted", "Invalid"): [gateway(listener(), listener("t", 80, "TCP"))],
    ("Listener", "Conflicted", "NoConflicts"): [GATEWAY],
    ("Listener", "Conflicted", "HostnameConflict"): [gateway(listener(), listener("b", protocol="http"))],
    ("Listener", "Conflicted", "ProtocolConflict"): [gateway(listener(), listener("t", 80, "TCP"))],
    ("Listener", "ResolvedRefs", "ResolvedRefs"): [GATEWAY],
    ("Listener", "ResolvedRefs", "InvalidCertificateRef"): [gateway(secure(secret="gone"))],
    ("Listener", "ResolvedRefs", "InvalidRouteKinds"): [
        gateway(listener(allowedRoutes={"kinds": [{"kind": "TCPRoute"}]}))
    ],
    ("Listener", "ResolvedRefs", "RefNotPermitted"): [
        gateway(
            listener("s", 443, "HTTPS", tls={"certificateRefs": [{"name": "cert", "namespace": "other"}]})
        )
    ],
    ("Listener", "ResolvedRefs", "InvalidCACertificateRef"): [gateway(secure(), tls=clients(name="gone"))],
    ("Listener", "ResolvedRefs", "InvalidCACertificateKind"): [gateway(secure(), tls=clients(kind="Pod"))],
    ("Listener", "Programmed", "Programmed"): [GATEWAY],
    ("Listener", "Programmed", "Invalid"): [gateway(listener("u", 53, "UDP"))],
    ("Listener", "OverlappingTLSConfig", "OverlappingHostnames"): [
        gateway(secure("a", hostname="*.x.com"), secure("b", hostname="b.x.com"))
    ],
    ("Route", "Accepted", "Accepted"): [GATEWAY, route()],
    ("Route", "Accepted", "NotAllowedByListeners"): [
        gateway(listener(allowedRoutes={"namespaces": {"from": "None"}})),
        route(),
    ],
    ("Route", "Accepted", "NoMatchingListenerHostname"): [
        gateway(listener(hostname="a.com")),
        route(hostnames=["b.com"]),
    ],
    ("Route", "Accepted", "NoMatchingParent"): [
        GATEWAY,
        route(parentRefs=[{"name": "web", "sectionName": "gone"}]),
    ],
    ("Route", "Accepted", "UnsupportedValue"): [GATEWAY, route(WRONG)],
    ("Route", "Accepted", "IncompatibleFilters"): [GATEWAY, route(BOTH)],
    ("Route", "Accepted", "Conflicted"): [GATEWAY, route(), route(kind="GRPCRoute", name="z")],
    ("Route", "ResolvedRefs", "ResolvedRefs"): [GATEWAY, route()],
    ("Route", "ResolvedRefs", "RefNotPermitted"): [GATEWAY, route(to("c", namespace="other"))],
    ("Route", "ResolvedRefs", "InvalidKind"): [GATEWAY, route(to("a", group="x.io", kind="Bucket"))],
    ("Route", "ResolvedRefs", "BackendNotFound"): [GATEWAY, route(to("gone"))],
    ("Route", "ResolvedRefs", "UnsupportedProtocol"): [GATEWAY, route(to("udp", 53))],
    ("Route", "PartiallyInvalid", "UnsupportedValue"): [GATEWAY, route(to("a"), WRONG)],
    ("Route", "PartiallyInvalid", "IncompatibleFilters"): [GATEWAY, route(to("a"), BOTH)],
    ("BackendTLSPolicy", "Accepted", "Accepted"): [GATEWAY, route(), policy()],
    ("BackendTLSPolicy", "Accepted", "Conflicted"): [
        GATEWAY,
        route(),
        policy(),
        policy("q", "2026-01-03T00:00:00Z"),
    ],
    ("BackendTLSPolicy", "Accepted", "Invalid"): [GATEWAY, route(), policy(wellKnownCACertificates="Mine")],
    ("BackendTLSPolicy", "Accepted", "TargetNotFound"): [GATEWAY, route(), policy(target="gone")],
    ("BackendTLSPolicy", "Accepted", "NoValidCACertificate"): [
        GATEWAY,
        route(),
        policy(caCertificateRefs=ca(name="gone")),
    ],
    ("BackendTLSPolicy", "ResolvedRefs", "ResolvedRefs"): [GATEWAY, route(), policy(caCertificateRefs=ca())],
    ("BackendTLSPolicy", "ResolvedRefs", "InvalidCACertificateRef"): [
        GATEWAY,
        route(),
        policy(caCertificateRefs=ca(name="gone")),
    ],
    ("BackendTLSPolicy", "ResolvedRefs", "InvalidKind"): [
        GATEWAY,
        route(),
        policy(caCertificateRefs=ca(kind="Pod")),
    ],
}
HOLDS = {
    ("Accepted", "Accepted"), ("Programmed", "Programmed"), ("ResolvedRefs", "ResolvedRefs"),
    ("PartiallyInvalid", "UnsupportedValue"), ("PartiallyInvalid", "IncompatibleFilters"),
    ("OverlappingTLSConfig", "OverlappingHostnames"),
    ("Conflicted", "HostnameConflict"), ("Conflicted", "ProtocolConflict"), ("Accepted", "ListenersNotValid"),
}  # fmt: skip
"""Conditions that are true for these reasons."""


def told(result):
    """Every condition: of what, its type, reason and whether it holds."""
    for ref, status in result.statuses.items():
        kind = ref.kind.partition(".")[0]
        parts = [(kind if kind.startswith("Gateway") else "", getattr(status, "conditions", ()))]
        parts += [("Listener", each.conditions) for each in getattr(status, "listeners", ())]
        parts += [("Route", each.conditions) for each in getattr(status, "parents", ())]
        parts += [(kind, each.conditions) for each in getattr(status, "ancestors", ())]
        yield from ((of, each.type, each.reason, each.status) for of, all_ in parts for each in all_)


def test_every_reason_of_the_specification_is_told_or_it_is_said_why_not():
    every = {
        (of, type_, reason)
        for of, types in SPECIFIED.items()
        for type_, reasons in types.items()
        for reason in reasons.split()
    }
    assert CASES.keys() | NEVER == every
    assert not CASES.keys() & NEVER


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_reason_is_told_where_it_should_be(case):
    of, type_, reason = case
    own = {("default", "web-istio"): outside(*([] if reason == "AddressNotAssigned" else ["192.0.2.1"]))}
    found = set(told(converted(*CASES[case], own_services=own)))
    holds = "True" if (type_, reason) in HOLDS else "False"
    assert (of, type_, reason, holds) in found
    known = {(one, each) for one, types in SPECIFIED.items() for each in types}
    assert {(one, each) for one, each, _, _ in found} <= known
    words = {
        (one, each): reasons.split() for one, types in SPECIFIED.items() for each, reasons in types.items()
    }
    assert all(why in words[one, each] for one, each, why, _ in found)
