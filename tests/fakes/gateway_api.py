"""Objects of the Gateway API out of YAML, and the mesh that they are converted in."""

from __future__ import annotations

import msgspec

from isthmus.api.core.service import (
    Ingress,
    LoadBalancerStatus,
    ServiceSpec,
    ServiceStatus,
)
from isthmus.api.core.service import Service as CoreService
from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.gateway_api.validate import problems
from isthmus.api.resource import Meta, Ref
from isthmus.api.yaml import documents
from isthmus.model.from_gateway_api.convert import convert
from isthmus.model.from_gateway_api.inputs import Inputs
from isthmus.model.names import ServiceKey, kubernetes_hostname
from isthmus.model.service import Port, Protocol, Service

CLASS = """
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
"""

GATEWAY = """
kind: Gateway
metadata: {name: web, namespace: default, creationTimestamp: "2026-01-01T00:00:00Z", generation: 3}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
"""


def objects(text):
    """The objects in a stream of documents, each found right."""
    kinds = {kind.name: kind for kind in KINDS}
    for document in documents(text):
        found = msgspec.convert(document.value, kinds[document.value["kind"]].type)
        assert not list(problems(found)), list(problems(found))
        yield found


def service(name, namespace="default", *ports):
    key = ServiceKey(namespace, kubernetes_hostname(name, namespace, "cluster.local"))
    return Service(key=key, ports=ports or (Port(80, "http", Protocol.HTTP), Port(9000, "tcp", Protocol.TCP)))


SERVICES = (
    service("a"),
    service("b"),
    service("c", "other"),
    service("udp", "default", Port(53, "dns", Protocol.UDP)),
)


def outside(*addresses):
    """The Service of a gateway that is reached at `addresses`."""
    given = tuple(Ingress(ip=each) for each in addresses)
    return CoreService(
        metadata=Meta(name="web-istio", namespace="default"),
        spec=ServiceSpec(type="LoadBalancer"),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=given)),
    )


def inputs(found, **more):
    """Inputs with `found` among a few services, namespaces and Secrets."""
    found = list(found)
    plain = (GatewayClass, Gateway, ReferenceGrant, BackendTLSPolicy)
    usual = {
        "services": {each.key: each for each in SERVICES},
        "namespaces": {"default": {}, "other": {"team": "blue"}, "third": {}},
        "certificates": {("default", "cert"), ("default", "cert-2"), ("other", "cert")},
        "authorities": {Ref("ConfigMap", "default", "ca"), Ref("ConfigMap", "default", "ca-2")},
        "own_services": {("default", "web-istio"): outside("192.0.2.1")},
    }
    return Inputs(
        classes=tuple(each for each in found if isinstance(each, GatewayClass)),
        gateways=tuple(each for each in found if isinstance(each, Gateway)),
        grants=tuple(each for each in found if isinstance(each, ReferenceGrant)),
        policies=tuple(each for each in found if isinstance(each, BackendTLSPolicy)),
        routes=tuple(each for each in found if not isinstance(each, plain)),
        **{**usual, **more},
    )


def converted(*texts, **more):
    """What the objects in `texts`, with the usual class, come to."""
    return convert(inputs([each for text in (CLASS, *texts) for each in objects(text)], **more))


def conditions(status):
    """Type → (status, reason) of a status."""
    return {each.type: (each.status, each.reason) for each in status.conditions}


def parent(result, kind, name, namespace="default", index=0):
    """The conditions of a route at one of its parents."""
    return conditions(result.statuses[Ref(kind, namespace, name)].parents[index])


def rules(result, host="*", kind="http"):
    """The routes of the only VirtualService for a host."""
    (found,) = [each for each in result.virtual_services if host in each.spec.hosts]
    return getattr(found.spec, kind)
