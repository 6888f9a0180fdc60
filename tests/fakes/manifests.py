"""Small manifests as decoded objects and changes, for tests of the model."""

from __future__ import annotations

import yaml

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, Hostname, ServiceKey

EAST, WEST = ClusterId("east"), ClusterId("west")
SETTINGS = MeshSettings(config_cluster=EAST)


def key(name, namespace="default"):
    return ServiceKey(namespace, Hostname(f"{name}.{namespace}.svc.cluster.local"))


def build(*changes):
    """The mesh after all changes in one batch."""
    return MeshBuilder(SETTINGS).apply(list(changes)).mesh


def put(cluster, obj):
    return Change(ChangeKey(cluster, ref_of(obj)), obj)


def gone(cluster, obj):
    return Change(ChangeKey(cluster, ref_of(obj)), None)


def ref_of(obj):
    name = type(obj).__name__.removesuffix("Config")
    return kind_named(name).ref(obj.metadata)


def made(kind, name, namespace="default", meta=None, **body):
    if kind == "Node":
        namespace = ""
    return decode(
        kind_named(kind), {"metadata": {"name": name, "namespace": namespace} | (meta or {})} | body
    )


def config(kind, name, spec, created="2020-01-01T00:00:00Z", namespace="default"):
    """A configuration object; `spec` is YAML."""
    return made(kind, name, namespace, {"creationTimestamp": created}, spec=yaml.safe_load(spec))


def service(name, *ports, ip="10.1.0.1", meta=None, namespace="default", **spec):
    numbered = [
        {"name": name, "port": number} if isinstance(number, int) else number for name, number in ports
    ]
    return made("Service", name, namespace, meta, spec={"ports": numbered, "clusterIP": ip} | spec)


def pod(name, ip, labels=None, annotations=None, created="2020-01-01T00:00:00Z", **spec):
    meta = {"labels": labels or {}, "annotations": annotations or {}, "creationTimestamp": created}
    return made("Pod", name, meta=meta, spec=spec, status={"podIP": ip})


def node(name, **labels):
    return made("Node", name, meta={"labels": {f"topology.kubernetes.io/{k}": v for k, v in labels.items()}})


def endpoint(ip, pod="", node="", **conditions):
    found = {"addresses": [ip], "conditions": conditions}
    if pod:
        found["targetRef"] = {"kind": "Pod", "name": pod, "namespace": "default"}
    return found | ({"nodeName": node} if node else {})


def slice_of(service, *endpoints, ports=(("http", 8080),), name="", kind="IPv4"):
    meta = {"labels": {"kubernetes.io/service-name": service}}
    return made(
        "EndpointSlice",
        name or f"{service}-1",
        meta=meta,
        addressType=kind,
        endpoints=list(endpoints),
        ports=[{"name": name, "port": number} for name, number in ports],
    )
