"""What stands in a cluster because a Gateway exists: an account, a Deployment of Envoy, and a Service before it.

Source: Istio's "Kubernetes Gateway API", "Automated Deployment": names, labels and annotations are Istio's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.reference import GROUP
from isthmus.model.from_gateway_api.gateway_doubt import gateway_doubt
from isthmus.model.from_gateway_api.listeners import STATUS_PORT
from isthmus.model.from_gateway_api.objects import CLASS, CONTROLLER
from isthmus.model.from_gateway_api.reach import deployed_name, is_managed
from isthmus.model.mesh import Mesh
from isthmus.model.revision import LABEL
from isthmus.model.selection import GATEWAY_NAME

Json = dict[str, Any]

MANAGED = "gateway.istio.io/managed"
MANAGED_BY = "istio.io-gateway-controller"
"""Label of all that is made here, and its value; without it nothing is ever removed."""
_CLASS_NAME = "gateway.networking.k8s.io/gateway-class-name"
_SERVICE_TYPE = "networking.istio.io/service-type"
_TYPES = {"ClusterIP", "NodePort", "LoadBalancer"}
_FIRST_FREE, _ENVOYS_OWN = 1024, range(15000, 15100)
_SHIFT = 10_000
_USER = 1337


def managed_gateways(mesh: Mesh) -> tuple[Gateway, ...]:
    """The Gateways that get an Envoy of their own, by namespace and name."""
    return managed_among(mesh.of(GatewayClass), mesh.of(Gateway))


def managed_among(classes: Iterable[GatewayClass], gateways: Iterable[Gateway]) -> tuple[Gateway, ...]:
    """Those of `gateways` that get an Envoy of their own where there are these classes."""
    ours = {each.metadata.name: each.spec.controller_name for each in classes}
    ours.setdefault(CLASS, CONTROLLER)
    return tuple(
        each
        for each in gateways
        if ours.get(each.spec.gateway_class_name) == CONTROLLER
        and is_managed(each)
        and gateway_doubt(each) is None
    )


def infrastructure(gateway: Gateway) -> tuple[Json, ...]:
    """The objects of a managed Gateway, in the order of their making; the pod still lacks its containers."""
    return _account(gateway), _deployment(gateway), _service(gateway)


def target_ports(gateway: Gateway) -> dict[int, int]:
    """Where Envoy listens for each port of the Gateway: where it needs no privilege and has nothing of its own."""
    wanted = sorted(
        {each.port for each in gateway.spec.listeners if each.protocol.upper() != "UDP"} - {STATUS_PORT}
    )
    found = {port: port for port in wanted if port >= _FIRST_FREE and port not in _ENVOYS_OWN}
    for port in wanted:
        if port not in found:
            taken = set(found.values())
            found[port] = next(each for each in _candidates(port) if each not in taken)
    return dict(sorted(found.items()))


def _candidates(port: int) -> Iterator[int]:
    first = port + _SHIFT if port < _FIRST_FREE else port + _SHIFT * 2
    yield from range(first, 2**16)
    yield from range(_FIRST_FREE, _ENVOYS_OWN.start)


def _metadata(gateway: Gateway) -> Json:
    meta, wanted = gateway.metadata, gateway.spec.infrastructure
    owner = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": deployed_name(gateway),
        "namespace": meta.namespace,
        "labels": _labels(gateway),
        "annotations": dict(wanted.annotations) if wanted is not None else {},
        "ownerReferences": [owner],
    }


def _labels(gateway: Gateway) -> dict[str, str]:
    wanted = gateway.spec.infrastructure
    own = {
        GATEWAY_NAME: gateway.metadata.name,
        _CLASS_NAME: gateway.spec.gateway_class_name,
        MANAGED: MANAGED_BY,
    }
    if revision := gateway.metadata.labels.get(LABEL):
        own[LABEL] = revision
    return {**(wanted.labels if wanted is not None else {}), **own}


def _account(gateway: Gateway) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(gateway)}


def _deployment(gateway: Gateway) -> Json:
    """How many pods there are is left to others: a HorizontalPodAutoscaler, or whoever scales it."""
    metadata = _metadata(gateway)
    pod = {
        "labels": {**metadata["labels"], "service.istio.io/canonical-name": metadata["name"]},
        "annotations": {**metadata["annotations"], "sidecar.istio.io/inject": "false"},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {GATEWAY_NAME: gateway.metadata.name}},
            "template": {"metadata": pod, "spec": _pod(metadata["name"])},
        },
    }


def _pod(account: str) -> Json:
    """What the pod is and may, but for its containers. Its agent has a token of its own, for Citadel only."""
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _service(gateway: Gateway) -> Json:
    protocols = {each.port: each.protocol.lower() for each in reversed(gateway.spec.listeners)}
    ports: list[Json] = [{"name": "status-port", "port": STATUS_PORT, "targetPort": STATUS_PORT}]
    ports += [
        {
            "name": f"{protocols[port]}-{port}",
            "port": port,
            "targetPort": target,
            "appProtocol": protocols[port],
        }
        for port, target in target_ports(gateway).items()
    ]
    spec: Json = {
        "type": service_type(gateway),
        "selector": {GATEWAY_NAME: gateway.metadata.name},
        "ports": [{**each, "protocol": "TCP"} for each in ports],
    }
    asked = [each.value for each in gateway.spec.addresses if each.value]
    if asked and spec["type"] == "LoadBalancer":
        spec["loadBalancerIP"] = asked[0]
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(gateway), "spec": spec}


def service_type(gateway: Gateway) -> str:
    """By annotation of the Gateway, or what it wants put on its objects; what is no type counts as none."""
    wanted = gateway.spec.infrastructure
    said = (wanted.annotations if wanted is not None else {}).get(_SERVICE_TYPE)
    said = gateway.metadata.annotations.get(_SERVICE_TYPE, said)
    return said if said in _TYPES else "LoadBalancer"
