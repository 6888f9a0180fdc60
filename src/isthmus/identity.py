"""Who a connected proxy is, and whether it may be that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from isthmus.model.build import MeshBuilder
from isthmus.model.endpoint import Locality
from isthmus.model.identity import SpiffeId, cluster_name, clusters_named
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, proxy_from_node
from isthmus.model.registration import vouched
from isthmus.wire.stream import Peer
from isthmus.xds.node import ProxyNode
from isthmus.xds.session import trusted


class Identifier:
    """Makes the proxy of a node: what it says of itself, and what the mesh knows better."""

    def __init__(self, builder: MeshBuilder) -> None:
        self._builder = builder

    def proxy(self, node: ProxyNode) -> Proxy:
        """The proxy. Raises `ValueError` where the node lacks what must be known of it."""
        said = Locality(node.region, node.zone, node.sub_zone)
        proxy = proxy_from_node(node.id, dict(node.metadata), said)
        workload = self._builder.mesh.workloads.get((proxy.cluster, proxy.address))
        if workload is None or workload.name != proxy.name:
            return proxy
        return msgspec.structs.replace(
            proxy,
            locality=workload.locality,
            labels=workload.labels,
            network=workload.network or proxy.network,
            node=workload.node or proxy.node,
        )

    def proven(self, node: ProxyNode) -> Proxy:
        """The proxy of a node whose certificate says who it is: proven, where it is known to the mesh as well.

        That is a pod, of which its cluster says what counts and not the node: also its labels, and with them the
        Gateways that it may serve; or else a workload of a WorkloadGroup or WorkloadEntry that gives it all of the
        labels that it says.
        """
        proxy = self.proxy(node)
        workload = self._builder.mesh.workloads.get((proxy.cluster, proxy.address))
        account = proxy.service_account or "default"
        if workload is not None:
            found = (workload.name, workload.namespace, workload.identity.service_account)
            known = found == (proxy.name, proxy.namespace, account)
            return msgspec.structs.replace(proxy, proven=known)
        labels = vouched(self._builder.mesh, proxy)
        if labels is None or not dict(proxy.labels).items() <= labels.items():
            return proxy
        return msgspec.structs.replace(proxy, proven=True, labels=tuple(sorted(labels.items())))


class Gatekeeper:
    """Lets a proxy be only who its certificate says."""

    def __init__(
        self,
        trust_domains: Callable[[ClusterId], Sequence[str]],
        doubts: Callable[[Peer], str] = trusted,
        *,
        clusters_proven: bool = False,
    ) -> None:
        """`trust_domains`: those that workloads of a cluster may be of. `clusters_proven`: each certificate has to say
        a cluster as well. `doubts` says why a certificate is not to be believed that is good by itself.
        """
        self._trust_domains, self._doubts, self._clusters_proven = trust_domains, doubts, clusters_proven

    def admit(self, peer: Peer, node: ProxyNode) -> None:
        """Raises `PermissionError` where the certificate is another workload's, of another cluster, or denied."""
        if why := self._doubts(peer):
            raise PermissionError(why)
        proxy = proxy_from_node(node.id, dict(node.metadata), Locality())
        account = proxy.service_account or "default"
        domains = self._trust_domains(proxy.cluster)
        wanted = [str(SpiffeId(domain, proxy.namespace, account)) for domain in domains]
        if not set(wanted) & set(peer.uris):
            shown = ", ".join(peer.uris) or "nobody"
            raise PermissionError(f"{node.id} says it is {wanted[0]}, but its certificate is of {shown}")
        proven = clusters_named(peer.dns, domains)
        if proven and proxy.cluster.lower() not in proven:
            shown = ", ".join(sorted(proven))
            raise PermissionError(
                f'{node.id} says it is in cluster "{proxy.cluster}", but its certificate was issued in {shown}'
            )
        if self._clusters_proven and not proven:
            hint = f"hint: a Citadel that writes {cluster_name(proxy.cluster, domains[0])} into certificates"
            raise PermissionError(f"{node.id} does not prove that it is in {proxy.cluster} ({hint})")


def nobody(_: Peer, node: ProxyNode) -> None:
    """Raises `PermissionError`: for a door where nobody proves who it is."""
    raise PermissionError(
        f"{node.id} shows no certificate (hint: over loopback this port answers istioctl alone)"
    )


def only_known(note: Callable[[Proxy], Callable[[], None]]) -> Callable[[Proxy], Callable[[], None]]:
    """`note`, which refuses proxies that nobody knows beside themselves."""

    def noted(proxy: Proxy) -> Callable[[], None]:
        if not proxy.proven:
            where = f'{proxy.name}.{proxy.namespace} at {proxy.address} in cluster "{proxy.cluster}"'
            hint = "hint: a WorkloadEntry or WorkloadGroup for what is no pod; pods are known within a second"
            raise PermissionError(f"nobody knows {where} ({hint})")
        return note(proxy)

    return noted
