"""What a cluster of the lab has from the start: its node, and the Service of its DNS."""

from __future__ import annotations

from typing import Any

from isthmus.lab.spec import ClusterSpec

Json = dict[str, Any]
KUBELET_PORT = 10250


def furniture(spec: ClusterSpec) -> list[Json]:
    """The objects."""
    return [_node(spec), _dns(spec)]


def _node(spec: ClusterSpec) -> Json:
    labels = {"kubernetes.io/hostname": spec.node, "kubernetes.io/os": "linux"}
    if spec.region:
        labels["topology.kubernetes.io/region"] = spec.region
    if spec.zone:
        labels["topology.kubernetes.io/zone"] = spec.zone
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the lab's kubelet runs"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.node, "labels": labels},
        "spec": {"podCIDR": spec.pod_cidr, "podCIDRs": [each.pod_cidr for each in spec.families]},
        "status": {
            "conditions": [ready],
            "addresses": [
                *({"type": "InternalIP", "address": each.node_address} for each in spec.families),
                {"type": "Hostname", "address": spec.node},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": {
                "kubeletVersion": "v1.34.0+isthmus",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def _dns(spec: ClusterSpec) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": spec.dns_address,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    }
