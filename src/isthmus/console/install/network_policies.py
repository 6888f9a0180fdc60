"""Who reaches the pods of the control plane: a NetworkPolicy for each Deployment, with the doors that its
containers have.

The doors, and who may ask at each, are told in docs/guides/doors.md. What proves itself at a door comes from
anywhere: proxies of other clusters do, and API servers, whose webhooks call from addresses that no selector
knows.
"""

from __future__ import annotations

from typing import Any

from isthmus.console.install.settings import Installation

Json = dict[str, Any]
_PROVEN = {"https-xds", "https-webhook", "grpc-citadel", "grpc-renewal", "grpc-xds"}
_NUMBERS = {"http-monitoring", "http-citadel"}


def network_policy(deployment: Json, installation: Installation) -> list[Json]:
    """The policy of a Deployment of the control plane; nothing where none is wished."""
    said = installation.network_policies
    if not said.enabled:
        return []
    ports = [port for each in deployment["spec"]["template"]["spec"]["containers"] for port in each["ports"]]
    rules: list[Json] = [{"ports": _ports(ports, _PROVEN)}]
    numbers: Json = {"ports": _ports(ports, _NUMBERS)}
    if said.monitoring_namespaces:
        numbers["from"] = [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": each}}}
            for each in said.monitoring_namespaces
        ]
    rules.append(numbers)
    meta = deployment["metadata"]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "labels": dict(meta["labels"]),
            },
            "spec": {
                "podSelector": deployment["spec"]["selector"],
                "policyTypes": ["Ingress"],
                "ingress": rules,
            },
        }
    ]


def _ports(ports: list[Json], names: set[str]) -> list[Json]:
    return [{"port": each["containerPort"], "protocol": "TCP"} for each in ports if each["name"] in names]
