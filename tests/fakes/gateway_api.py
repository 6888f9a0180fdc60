"""Objects of the Gateway API out of YAML, and the mesh that they are converted in."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from isthmus.api import kind_of_type
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import (
    Ingress,
    LoadBalancerStatus,
    ServiceSpec,
    ServiceStatus,
)
from isthmus.api.core.service import Service as CoreService
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.gateway_api.validate import problems
from isthmus.api.resource import Meta, Ref
from isthmus.api.yaml import documents
from isthmus.model.credential import ABSENT, Credential
from isthmus.model.credential_key import CredentialKey
from isthmus.model.derived import Derived, Sources
from isthmus.model.mesh import MeshSettings
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


class Known(dict):
    """Credentials of which everything is known: what is not among them is not there."""

    def get(self, key, default=None):
        return super().get(key, ABSENT)


class Converted(NamedTuple):
    """What objects came to."""

    gateways: tuple
    virtual_services: tuple
    destination_rules: tuple
    origins: dict
    statuses: dict
    findings: tuple


USUAL = {
    "services": {each.key: each for each in SERVICES},
    "namespaces": {"default": {}, "other": {"team": "blue"}, "third": {}},
    "certificates": {("default", "cert"), ("default", "cert-2"), ("other", "cert")},
    "authorities": {Ref("ConfigMap", "default", "ca"), Ref("ConfigMap", "default", "ca-2")},
    "own_services": {("default", "web-istio"): outside("192.0.2.1")},
    "settings": MeshSettings(),
}


def sources(found, **more):
    """`found` among a few services, namespaces and Secrets."""
    world = USUAL | more
    labels = {
        name: Namespace(metadata=Meta(name=name, labels=own)) for name, own in world["namespaces"].items()
    }
    objects = {kind_of_type(type(each)).ref(each.metadata): each for each in found}
    objects |= {Ref("Namespace", "", name): each for name, each in labels.items()}
    objects |= {Ref("Service", *name): each for name, each in world["own_services"].items()}
    pairs = {Ref("Secret", *name): Credential(certificate=b"pem") for name in world["certificates"]}
    roots = {ref: Credential(roots=b"pem") for ref in world["authorities"]}
    known = Known({CredentialKey("", ref): each for ref, each in {**pairs, **roots}.items()})
    return Sources(objects, world["services"], known, world["settings"])


def derived(found, **more):
    """What `found` comes to, from scratch."""
    world = sources(found, **more)
    made = Derived(world.settings)
    made.follow(world.objects, world.services, world)
    return made


def result_of(made):
    """The parts of `made` in a fixed order."""
    of = {
        kind: tuple(made.objects[ref] for ref in sorted(made.objects) if ref.kind == kind)
        for kind in MADE_KINDS
    }
    told = tuple(sorted(made.findings, key=lambda each: each.ref))
    return Converted(*of.values(), dict(made.origins), dict(made.statuses), told)


MADE_KINDS = ("Gateway", "VirtualService", "DestinationRule")


def converted(*texts, **more):
    """What the objects in `texts`, with the usual class, come to."""
    found = [each for text in (CLASS, *texts) for each in objects(text)]
    return result_of(derived(found, **more))


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
