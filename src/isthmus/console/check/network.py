"""Checks of addresses and ways: ranges, networks, gateways between them, what is dropped on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import msgspec

from isthmus.api.core.label_selector import LabelSelector
from isthmus.console.check.cluster import (
    NETWORK,
    SETTINGS,
    SIDECAR,
    Cluster,
    Json,
    Range,
    container_names,
    containers,
    few,
    labels,
    named,
    placed,
)
from isthmus.console.check.names import injected
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine
from isthmus.kit.unreadable import UNREADABLE

_TAKEN = {
    15000: "Envoy's admin",
    15001: "captured calls",
    15006: "captured calls",
    15008: "datagrams between sidecars",
    15020: "the agent",
    15021: "Envoy's readiness",
    15053: "the agent's DNS",
    15054: "the agent's DNS",
    15090: "Envoy's metrics",
}
_LEAST_MTU = 1280
_XDS = 15012


def _overlap(one: Range, other: Range) -> bool:
    return one.version == other.version and one.overlaps(other)


def _flat(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Cluster]:
    """Other clusters whose pods are reached by their own addresses."""
    for other in clusters:
        if other.name != cluster.name and other.network == cluster.network:
            yield other


def pod_ranges(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Pods of clusters on one network have addresses of their own.

    An address that two pods have leads to one of them: calls for the other go to a stranger.
    """
    ours = sorted(set(cluster.pod_ranges()), key=str)
    wrong = False
    for other in _flat(cluster, clusters):
        shared = [one for one in ours if any(_overlap(one, each) for each in other.pod_ranges())]
        if shared and cluster.name < other.name:
            wrong = True
            yield broken(
                f"{few([str(each) for each in shared])} is also of {other.name}",
                "isthmus install primary --network NAME   (networks of their own, with gateways between: "
                "docs/guides/without-a-vpn.md)",
            )
        wrong = wrong or bool(shared)
    if ours and not wrong:
        yield fine(few([str(each) for each in ours]))


def service_ranges(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """No Service has an address of another cluster's pods.

    A node leads what is sent to the address of a Service to its endpoints: pods of the other cluster that have the
    same address are never reached from here.
    """
    for other in _flat(cluster, clusters):
        ranges = set(other.pod_ranges())
        taken = [
            f"{placed(each)} {address}"
            for each in cluster.all("services")
            for address in _addresses(each)
            if any(ip_address(address) in one for one in ranges if one.version == ip_address(address).version)
        ]
        if taken:
            yield broken(
                f"{few(taken, 3)} lies in the pods' range of {other.name}",
                "isthmus install primary --network NAME   (networks of their own: docs/guides/without-a-vpn.md)",
            )
            return
    if any(True for _ in _flat(cluster, clusters)):
        yield fine(f"{sum(1 for _ in cluster.all('services'))} services")


def _addresses(service: Json) -> Iterator[str]:
    spec = service.get("spec", {})
    for text in spec.get("clusterIPs") or filter(None, [spec.get("clusterIP")]):
        if text != "None":
            yield str(text)


def networks(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """A network that others call has a gateway with an address.

    Pods of another network are reached through its gateway only; without one they are reached not at all.
    """
    others = sorted({each.network for each in clusters} - {cluster.network})
    if not others:
        yield fine(f"one network{f', {cluster.network}' if cluster.network else ''}")
        return
    if not cluster.network:
        yield broken(
            f"says no network, and others are of {few(others)}",
            cluster.kubectl(f"label namespace {cluster.root} {NETWORK}=NAME"),
        )
        return
    gateways = [
        each for member in clusters if member.network == cluster.network for each in _gateways(member)
    ]
    with_address = [placed(each) for each in gateways if _given(each)]
    if with_address:
        yield fine(f"{cluster.network} by {few(with_address)}")
    elif gateways:
        first = gateways[0]
        where = f"-n {first['metadata']['namespace']} describe service {named(first)}"
        yield broken(f"Service {placed(first)} has no address yet", cluster.kubectl(where))
    else:
        yield broken(
            f"{cluster.network} has no gateway, and {few(others)} cannot reach it",
            cluster.install("eastwest", f" --network {cluster.network}"),
        )


def _gateways(cluster: Cluster) -> Iterator[Json]:
    for each in cluster.all("services"):
        if labels(each).get(NETWORK) == cluster.network:
            yield each


def _given(service: Json) -> bool:
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress")
    return bool(given or service.get("spec", {}).get("externalIPs"))


def network_labels(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Sidecars say the network that their cluster says.

    Pilot believes the cluster for pods that it knows; a sidecar that says another network looks for its way elsewhere.
    """
    for _name, held in cluster.of_revisions("configmaps", SETTINGS):
        if held is None:
            continue
        said = injected(held, "network")
        if said != cluster.network:
            label = cluster.kubectl(f"label --overwrite namespace {cluster.root} {NETWORK}={said or 'NAME'}")
            yield doubtful(f"sidecars say {said!r}, the namespace {cluster.network!r}", label)
        else:
            yield fine(cluster.network or "the one flat network")


def mtu(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Packets of pods are of one size at most in all clusters, and not too small.

    What is larger than the way takes is lost where nobody says so: connections open, and stand still with the first
    long answer. Datagrams of sidecars need 1280 bytes.
    """
    ours = {each.mtu for each in cluster.machines if each.mtu}
    if not ours:
        return
    if min(ours) < _LEAST_MTU:
        small = next(each for each in cluster.machines if each.mtu == min(ours))
        yield broken(
            f"{min(ours)} on node {small.node}", "raise the MTU in the settings of the network plugin"
        )
        return
    for other in _flat(cluster, clusters):
        theirs = {each.mtu for each in other.machines if each.mtu}
        if theirs and min(theirs) < max(ours) and cluster.name != other.name:
            seen = f"{max(ours)}, and {min(theirs)} in {other.name}"
            yield doubtful(seen, "set one MTU for both in the settings of the network plugins")
            return
    yield fine(", ".join(map(str, sorted(ours))))


def policies(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """NetworkPolicies let proxies come to Pilot.

    Sidecars of a Pilot that they cannot reach keep what they have, and new ones never become ready.
    """
    held = list(cluster.all("networkpolicies", cluster.root))
    found: set[str] = set()
    for pod in cluster.of_mesh("pilot"):
        concerned = [each for each in held if _selects(each, labels(pod))]
        found |= {named(each) for each in concerned}
        if concerned and not any(_lets_in(rule) for each in concerned for rule in _ingress(each)):
            names = [named(each) for each in concerned]
            edit = f"-n {cluster.root} edit networkpolicy {names[0]}   (docs/guides/doors.md)"
            yield broken(f"{few(names)} lets nobody to port {_XDS} of {named(pod)}", cluster.kubectl(edit))
            return
    yield fine(few(sorted(found)) if found else "none concerns Pilot")


def _selects(policy: Json, of_pod: dict[str, str]) -> bool:
    """Whether the policy decides who reaches a pod with these labels; a selector that is none selects nothing here."""
    spec = policy.get("spec", {})
    if "Ingress" not in (spec.get("policyTypes") or ("Ingress",)):
        return False
    try:
        return msgspec.convert(spec.get("podSelector") or {}, LabelSelector).selects(of_pod)
    except UNREADABLE:
        return False


def _ingress(policy: Json) -> list[Json]:
    return policy["spec"].get("ingress") or []


def _lets_in(rule: Json) -> bool:
    ports = rule.get("ports")
    if not ports:
        return True
    return any(_meant(each) for each in ports)


def _meant(port: Json) -> bool:
    said = port.get("port")
    if said is None or said in (_XDS, "https-xds"):
        return True
    return isinstance(said, int) and said <= _XDS <= int(port.get("endPort", said))


def ports(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """No application wants a port of its sidecar.

    Of two that want one port the second cannot start, and which of them that is changes from start to start.
    """
    taken = [
        f"{placed(pod)} {port} ({_TAKEN[port]})"
        for pod in cluster.all("pods")
        if SIDECAR in container_names(pod)
        for each in containers(pod)
        if each["name"] != SIDECAR
        for port in _container_ports(each)
        if port in _TAKEN
    ]
    if taken:
        yield broken(few(taken, 3), "give the application another port")
    else:
        yield fine("none")


def _container_ports(container: Json) -> Iterator[int]:
    for each in container.get("ports") or ():
        yield int(each["containerPort"])


CHECKS = (
    Check(pod_ranges, needs=("nodes", "namespaces")),
    Check(service_ranges, needs=("services", "nodes", "namespaces")),
    Check(networks, When.AFTER, needs=("services", "namespaces")),
    Check(network_labels, When.AFTER, needs=("configmaps", "namespaces", "pods")),
    Check(mtu, When.AFTER, needs=("namespaces",)),
    Check(policies, needs=("networkpolicies", "pods")),
    Check(ports, When.AFTER, needs=("pods",)),
)
