"""Checks of what names mean: the cluster's DNS, and its domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from isthmus.console.check.cluster import SETTINGS, Cluster, Json, few
from isthmus.console.check.endpoints import has_pieces, ready_addresses
from isthmus.console.check.verdict import Check, Said, broken, doubtful, fine

_DNS = "kube-dns"


def injected(held: Json, field: str) -> str:
    """What sidecars are given, by ConfigMap `istio-sidecar-injector`."""
    try:
        read = yaml.safe_load(held.get("data", {}).get("values", "")) or {}
    except yaml.YAMLError:
        return ""
    return str(read.get(field, "")) if isinstance(read, dict) else ""


def dns(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The cluster's DNS answers.

    Sidecars find Pilot and Citadel by name, and what they do not know themselves they ask there.
    """
    service = cluster.one("services", _DNS, "kube-system")
    if service is None:
        yield doubtful(f"no Service kube-system/{_DNS}", cluster.kubectl("-n kube-system get services"))
        return
    ready = list(ready_addresses(cluster, "kube-system", _DNS))
    if ready:
        yield fine(f"{len(ready)} endpoints")
    elif not service["spec"].get("selector") and not has_pieces(cluster, "kube-system", _DNS):
        yield fine("it is answered elsewhere than by pods")
    else:
        yield broken(
            "no endpoint of it is ready", cluster.kubectl("-n kube-system get pods -l k8s-app=kube-dns")
        )


def dns_domain(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The cluster's DNS domain is the one that the mesh knows.

    Names of services end with it: with another one no name that pods ask for is a service of the mesh.
    """
    file = cluster.one("configmaps", "coredns", "kube-system")
    domains = {
        injected(held, "domain") or "cluster.local"
        for _name, held in cluster.of_revisions("configmaps", SETTINGS)
        if held is not None
    }
    if not domains or file is None:
        return
    said = [
        words[1:]
        for line in str(file.get("data", {}).get("Corefile", "")).splitlines()
        if (words := line.split()) and words[0] == "kubernetes"
    ]
    strange = [domain for domain in sorted(domains) if not any(domain in each for each in said)]
    if said and strange:
        zones = [zone for each in said for zone in each if zone != "{"]
        seen = f"CoreDNS answers for {few(zones)}, sidecars ask {few(strange)}"
        yield broken(seen, cluster.install("primary", " --domain DOMAIN"))
    elif said:
        yield fine(few(sorted(domains)))


CHECKS = (
    Check(dns, needs=("services", "endpointslices")),
    Check(dns_domain, needs=("configmaps", "pods")),
)
