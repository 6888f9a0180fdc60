"""Checks of the clusters of the mesh as Pilot knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from isthmus.console.certificate_warnings import age
from isthmus.console.check.cluster import CLUSTER, Cluster, Json, few, labels
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine

_SOON_S = 86_400.0


def _known(clusters: Sequence[Cluster]) -> dict[str, Json]:
    """What Pilots say of clusters, by name; where they differ, what is worse."""
    found: dict[str, Json] = {}
    for pilot in (pilot for each in clusters for pilot in each.pilots):
        for cluster in pilot.clusters:
            name = str(cluster["id"])
            if name not in found or cluster["state"] != "synced":
                found[name] = cluster
    return found


def clusters_synced(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Pilot follows every cluster of the mesh.

    Of a cluster that it cannot reach it serves what it knew last; what changes there is not seen.
    """
    known = _known([cluster])
    away = {name: each for name, each in known.items() if each["state"] != "synced"}
    for name, each in away.items():
        seen = f"{name} ({each['server']}): {each['state']}{': ' if each['error'] else ''}{each['error']}"
        yield broken(
            seen,
            f"isthmus clusters list --context {cluster.context}"
            if cluster.context
            else "isthmus clusters list",
        )
    if known and not away:
        yield fine(few(sorted(known)))


def new_access(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """No cluster waits with an access that does not work.

    Pilot goes on with the old one until the new one has shown all; when the old one ends, the cluster is lost.
    """
    waiting = [
        f"{name}: {each['replacing']}" for name, each in _known([cluster]).items() if each.get("replacing")
    ]
    if waiting:
        yield doubtful(
            few(waiting, 3),
            "isthmus clusters rotate NAME --context CONTEXT",
        )
    elif cluster.pilots:
        yield fine("none")


def access_lives(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """What Pilot shows at API servers goes on being good.

    When a token or a certificate ends there, Pilot sees no change of that cluster any more.
    """
    shown = {name: each.get("access") or {} for name, each in _known([cluster]).items()}
    ends = {name: float(each["ends"]) for name, each in shown.items() if each.get("ends")}
    is_well = True
    for name, end in ends.items():
        left, renews, error = end - cluster.now, shown[name].get("renews"), shown[name].get("error", "")
        mend = f"isthmus clusters rotate {name} --context CONTEXT"
        if left <= 0:
            is_well = False
            yield broken(f"that for {name} ended {age(left)} ago", mend)
        elif error:
            is_well = False
            yield doubtful(f"that for {name} ends in {age(left)} and was not renewed: {error}", mend)
        elif left < _SOON_S and not renews:
            is_well = False
            yield doubtful(f"that for {name} ends in {age(left)}, and Pilot cannot renew it", mend)
    if cluster.pilots and is_well:
        lasting = [end for name, end in ends.items() if not shown[name].get("renews")]
        renewed = len(ends) - len(lasting)
        first = f", the first of {len(lasting)} in {age(min(lasting) - cluster.now)}" if lasting else ""
        yield fine(f"none ends soon{first}" + (f"; {renewed} renewed by Pilot" if renewed else ""))


def registry_entries(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """All entries of the registry of clusters can be read.

    A cluster whose entry cannot be read is not of the mesh, or goes on as it was said before.
    """
    wrong = [said for pilot in cluster.pilots for said in pilot.findings]
    for said in dict.fromkeys(wrong):
        yield broken(said, "isthmus clusters check DIRECTORY")
    if cluster.pilots and not wrong:
        yield fine(f"{len(_known([cluster]))} clusters")


def clusters_known(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Pilot knows this cluster.

    Services of a cluster that it does not know are nowhere in the mesh, and its sidecars get little to know.
    """
    known = _known(clusters)
    if not known:
        return
    if cluster.name in known:
        yield fine(str(known[cluster.name]["source"]))
    else:
        context = cluster.context or "CONTEXT"
        mend = f"isthmus clusters add DIRECTORY {cluster.name} --context {context} --pilot-endpoint ADDRESS:15012"
        yield doubtful(f"it knows {few(sorted(known))}", mend)


def cluster_names(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Each cluster has a name of its own, and its sidecars say it.

    Endpoints are told apart by the name of their cluster: two of one name overwrite each other's.
    """
    namespace = cluster.one("namespaces", cluster.root)
    said = labels(namespace).get(CLUSTER, "") if namespace else ""
    if not said:
        return
    twins = [
        other.context or other.name for other in clusters if other is not cluster and _says(other) == said
    ]
    if twins:
        yield broken(
            f"{said}, as {few(twins)}",
            replace(cluster, name="NAME").install("primary"),
        )
    else:
        yield fine(said)


def _says(cluster: Cluster) -> str:
    namespace = cluster.one("namespaces", cluster.root)
    return labels(namespace).get(CLUSTER, "") if namespace else ""


def reader_rights(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The account by which Pilot follows the cluster may read what a mesh is made of.

    A kind that it may not list counts as empty, or holds up all that Pilot would know of the cluster.
    """
    asked = [right for right in cluster.may if right.account]
    lacking = [str(right) for right in asked if not cluster.may[right]]
    if lacking:
        account = next(right.account for right in asked if not cluster.may[right])
        yield broken(f"{account} may not {few(lacking)}", cluster.install("remote"))
    elif asked:
        yield fine(f"all {len(asked)} rights")


CHECKS = (
    Check(clusters_synced, When.AFTER, needs=("pods",)),
    Check(new_access, When.AFTER, needs=("pods",)),
    Check(access_lives, When.AFTER, needs=("pods",)),
    Check(registry_entries, When.AFTER, needs=("pods",)),
    Check(clusters_known, When.AFTER, needs=("pods",)),
    Check(cluster_names, needs=("namespaces",)),
    Check(reader_rights, When.AFTER, needs=("namespaces",)),
)
