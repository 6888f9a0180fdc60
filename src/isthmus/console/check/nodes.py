"""Checks of the machines that pods run on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from isthmus.console.check.api_server import release
from isthmus.console.check.cluster import Cluster, Json, few, is_true, labels, moment, named
from isthmus.console.check.verdict import Check, Said, broken, doubtful, fine
from isthmus.kit.x509 import BACKDATE_S

MACHINES = ("amd64", "arm64")
"""For which there is an Envoy."""
_LEAST_KERNEL = (4, 18)
"""Since then rules of nft and of iptables may change addresses side by side. Source: the wiki of nftables."""
_KUBELET_BEHIND = 3
"""Releases that a kubelet may be older than its API server. Source: Kubernetes' version skew policy."""
_RENEWED_S = 40.0
"""After which a node counts as lost that did not renew its Lease. Source: node-monitor-grace-period."""
_LATE_S = 10.0
_ZONE, _REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


def _info(node: Json, field: str) -> str:
    return str(node.get("status", {}).get("nodeInfo", {}).get(field, ""))


def nodes_ready(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """All nodes are ready.

    Pods of a node that is not are taken out of their services, in all clusters.
    """
    found = list(cluster.all("nodes"))
    lost = [named(each) for each in found if not is_true(each, "Ready")]
    if not found:
        yield broken("there is no node", cluster.kubectl("get nodes"))
    elif lost:
        yield doubtful(f"{few(lost)} of {len(found)}", cluster.kubectl(f"describe node {lost[0]}"))
    else:
        yield fine(f"{len(found)}")


def architectures(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """There is an Envoy for every machine.

    On another kind of machine a sidecar cannot start, nor can its pod.
    """
    kinds = {_info(each, "architecture"): named(each) for each in cluster.all("nodes")}
    strange = [f"{name} is {kind}" for kind, name in kinds.items() if kind and kind not in MACHINES]
    if strange:
        mend = "kubectl label namespace NAMESPACE istio-injection=disabled   (of what must run there)"
        yield doubtful(few(strange), mend)
    else:
        yield fine(few(sorted(filter(None, kinds))) or "nodes do not say")


def kernels(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Kernels can capture traffic.

    A sidecar leads the pod's connections to itself by nft, beside the rules that the node has of iptables.
    """
    old = []
    versions = set()
    for node in cluster.all("nodes"):
        text = _info(node, "kernelVersion")
        found = re.match(r"(\d+)\.(\d+)", text)
        if found:
            versions.add(found[0])
            if (int(found[1]), int(found[2])) < _LEAST_KERNEL:
                old.append(f"{named(node)} has {text}")
    if old:
        yield broken(f"{few(old)}, and 4.18 is the oldest that serves", "upgrade the nodes")
    elif versions:
        yield fine(f"Linux {', '.join(sorted(versions))}")


def kubelets(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Kubelets fit their API server.

    Of one that is too old, or newer than the API server, nobody says what it understands of a pod.
    """
    server = release(cluster.version)
    if server is None:
        return
    wrong = []
    for node in cluster.all("nodes"):
        text = _info(node, "kubeletVersion")
        found = release(text)
        if found is not None and not server[1] - _KUBELET_BEHIND <= found[1] <= server[1]:
            wrong.append(f"{named(node)} has {text}")
    if wrong:
        yield doubtful(f"{few(wrong)}, the API server {cluster.version}", "upgrade the nodes")
    else:
        yield fine(cluster.version)


def node_clocks(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The clocks of nodes are right.

    A pod takes the time of its node: certificates that are valid elsewhere have ended, or not begun, there.
    """
    ready = {named(each) for each in cluster.all("nodes") if is_true(each, "Ready")}
    wrong = False
    looked = 0
    for lease in cluster.all("leases", "kube-node-lease"):
        text = lease.get("spec", {}).get("renewTime")
        if text is None or named(lease) not in ready:
            continue
        looked += 1
        ahead_s = moment(str(text)) - cluster.now
        if ahead_s > _LATE_S or ahead_s < -_RENEWED_S:
            wrong = True
            way = "ahead" if ahead_s > 0 else "behind"
            seen = f"node {named(lease)} is {abs(ahead_s):.0f} s {way}, or does not renew its Lease"
            mend = "chronyc tracking   (on the node)"
            yield broken(seen, mend) if abs(ahead_s) > BACKDATE_S else doubtful(seen, mend)
    if looked and not wrong:
        yield fine(f"{looked} nodes")


def zones(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Nodes say in which region and zone they are.

    Calls stay near, and go elsewhere when nothing near answers, by these labels alone.
    """
    if len(clusters) < 2:
        return
    without = [named(each) for each in cluster.all("nodes") if not {_ZONE, _REGION} <= labels(each).keys()]
    if without:
        mend = cluster.kubectl(f"label node {without[0]} {_REGION}=REGION {_ZONE}=ZONE")
        yield doubtful(f"not {few(without)}", mend)
    else:
        found = {labels(each)[_REGION] for each in cluster.all("nodes")}
        yield fine(few(sorted(found)))


_NEEDS = ("nodes",)
CHECKS = (
    Check(nodes_ready, needs=_NEEDS),
    Check(architectures, needs=_NEEDS),
    Check(kernels, needs=_NEEDS),
    Check(kubelets, needs=_NEEDS),
    Check(node_clocks, needs=("nodes", "leases")),
    Check(zones, needs=_NEEDS),
)
