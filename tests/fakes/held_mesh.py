"""Two clusters as their API servers hold them: pods that run, with the slices that follow from them."""

from __future__ import annotations

import yaml

from isthmus.api import kind_of
from isthmus.console.live_objects import LiveCluster
from isthmus.kube.kubeconfig import Access

FIRST = "2026-01-01T00:00:00Z"
CALLER = "caller"


def pod(name, address, app, version="v1", cluster="east", ready="True", domain="cluster.local"):
    env = {
        "ISTIO_META_CLUSTER_ID": cluster,
        "ISTHMUS_DOMAIN": domain,
        "ISTHMUS_CONTROL_PLANE_NAMESPACE": "istio-system",
        "TRUST_DOMAIN": domain,
    }
    labels = {
        "app": app,
        "version": version,
        "pod-template-hash": "5d4f",
        "security.istio.io/tlsMode": "istio",
    }
    told = [{"name": key, "value": value} for key, value in env.items()]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-{version}-5d4f", "uid": "x"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [
                {"name": "app", "image": "app"},
                {
                    "name": "istio-proxy",
                    "image": "proxy",
                    "env": told,
                },
            ]
        },
        "status": {
            "podIP": address,
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def service(name, address):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": FIRST},
        "spec": {
            "clusterIP": address,
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def sliced(name, *pods):
    endpoints = [
        {
            "addresses": [each["status"]["podIP"]],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": each["metadata"]["name"], "namespace": "default"},
        }
        for each in pods
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def deployment(app, version="v1", replicas=1):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{app}-{version}", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": app, "version": version}},
                "spec": {"containers": [{}]},
            },
        },
    }


def rule(name, spec, kind="VirtualService", created=FIRST):
    meta = {"name": name, "namespace": "default"} | ({"creationTimestamp": created} if created else {})
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def to_web(subset):
    return {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web", "subset": subset}}]}]}


SUBSETS = {
    "host": "web",
    "subsets": [{"name": each, "labels": {"version": each}} for each in ("v1", "v2", "v3")],
}
EAST = (
    pod(f"{CALLER}-v1-5d4f-a", "10.1.0.1", CALLER),
    pod("web-v1-5d4f-a", "10.1.0.2", "web"),
    service("web", "10.9.0.1"),
    sliced("web", pod("web-v1-5d4f-a", "10.1.0.2", "web")),
    deployment("web"),
    rule("web", SUBSETS, "DestinationRule"),
    rule("web", to_web("v1")),
)
WEST = (
    pod("web-v2-5d4f-a", "10.2.0.2", "web", "v2", "west"),
    service("web", "10.9.0.2"),
    sliced("web", pod("web-v2-5d4f-a", "10.2.0.2", "web", "v2")),
)


def live(**clusters):
    """Clusters as `clusters_of` finds them; by default both."""
    held = clusters or {"east": EAST, "west": WEST}
    return {name: LiveCluster(Access(server=f"https://{name}"), objects) for name, objects in held.items()}


def written(*objects):
    """The objects as text, each as somebody would write it."""
    for each in objects:
        kind_of(each["apiVersion"], each["kind"])
    return yaml.safe_dump_all(objects, sort_keys=False)
