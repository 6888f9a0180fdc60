"""Files laid over what a cluster holds: what would be in it once they were applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from isthmus.api.core.endpoint_slice import SERVICE_NAME
from isthmus.console.drawn_pods import (
    OWNERS,
    Key,
    Tree,
    key_of,
    labels_of,
    meta_of,
    namespace_of,
    part,
    parts,
)
from isthmus.model.analyze.selection import Selection

_NEWEST = "9999-12-31T23:59:59Z"
_GIVEN = ("clusterIP", "clusterIPs", "nodeName")
"""What a cluster writes into specs, and keeps where a file does not say it."""


def applied(before: Tree | None, value: Tree) -> Tree:
    """`value` with what its cluster gave to the object of that name; where there is none, it is the newest of all."""
    meta, created = meta_of(value), meta_of(before or {}).get("creationTimestamp")
    meta = {**meta, "creationTimestamp": created or meta.get("creationTimestamp") or _NEWEST}
    if before is None:
        return {**value, "metadata": meta}
    given = {name: each for name, each in part(before, "spec").items() if name in _GIVEN}
    spec = {"spec": {**given, **part(value, "spec")}} if given else {}
    status = {"status": before["status"]} if "status" in before else {}
    return {**status, **value, **spec, "metadata": meta}


def outdated(live: Sequence[Tree], laid: Sequence[Tree], made: Iterable[Tree]) -> set[Key]:
    """The pods and slices of a cluster that would make way, where `laid` brings the pods `made` with it.

    Pods go whose owner is another then; slices of Services that are others, or that select pods that come or go.
    """
    owners = {key_of(each) for each in laid if each.get("kind") in OWNERS}
    pods = [each for each in live if each.get("kind") == "Pod"]
    gone = [each for each in pods if not owners.isdisjoint(_owners(each))]
    moved = [*gone, *made, *(each for each in laid if each.get("kind") == "Pod")]
    services = set(_services(live, laid, moved))
    slices = (each for each in live if each.get("kind") == "EndpointSlice")
    stale = [
        each
        for each in slices
        if (namespace_of(each), labels_of(meta_of(each)).get(SERVICE_NAME)) in services
    ]
    return {key_of(each) for each in (*gone, *stale)}


def _owners(pod: Tree) -> Iterator[Key]:
    """The owners of a pod, and the Deployment of a ReplicaSet, which is called by the hash of its template."""
    suffix = f"-{labels_of(meta_of(pod)).get('pod-template-hash')}"
    for each in parts(meta_of(pod), "ownerReferences"):
        kind, name = str(each.get("kind")), str(each.get("name"))
        yield kind, namespace_of(pod), name
        if kind == "ReplicaSet" and name.endswith(suffix):
            yield "Deployment", namespace_of(pod), name.removesuffix(suffix)


def _services(live: Sequence[Tree], laid: Sequence[Tree], moved: Iterable[Tree]) -> Iterator[tuple[str, str]]:
    """Namespaces and names of the Services with other endpoints than the cluster's slices say."""
    by_namespace: dict[str, list[Tree]] = {}
    for pod in moved:
        by_namespace.setdefault(namespace_of(pod), []).append(pod)
    found = {
        namespace: Selection((labels_of(meta_of(pod)), pod) for pod in pods)
        for namespace, pods in by_namespace.items()
    }
    for number, each in enumerate((*laid, *live)):
        selector = labels_of(part(each, "spec"), "selector")
        if each.get("kind") != "Service" or not selector:
            continue
        pods = found.get(namespace_of(each))
        if number < len(laid) or (pods is not None and pods.has(selector)):
            yield namespace_of(each), str(meta_of(each).get("name"))
