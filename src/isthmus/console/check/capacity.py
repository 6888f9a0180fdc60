"""Checks of what namespaces may have: quotas, limits, what pods may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

from isthmus.console.check.cluster import Cluster, Json, few, labels, named, placed
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine

_ENFORCED = "pod-security.kubernetes.io/enforce"
_STRICT = ("baseline", "restricted")
_FULL = Decimal("0.9")
_SIDECAR = {"cpu": Decimal("0.01"), "memory": Decimal(32 << 20)}
"""What istio-init asks for, the smallest container that injection adds."""
PLANE = {
    "pods": Decimal(2),
    "cpu": Decimal("0.15"),
    "memory": Decimal(192 << 20),
}
"""What Pilot and Citadel ask for together."""
_NAMES = {"requests.cpu": "cpu", "requests.memory": "memory", "count/pods": "pods"}
_UNITS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(1000),
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
}


def quantity(text: str) -> Decimal | None:
    """What `250m`, `1.5` or `64Mi` says; None where it says nothing. Source: Kubernetes' resource.Quantity."""
    number = str(text).rstrip("kmMGTi")
    try:
        return Decimal(number) * _UNITS[str(text)[len(number) :]]
    except (InvalidOperation, KeyError):
        return None


def _left(quota: Json) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Of each resource: its name, how much is left, how much there is."""
    status = quota.get("status", {})
    hard = status.get("hard") or quota.get("spec", {}).get("hard") or {}
    for name, text in hard.items():
        most, used = quantity(text), quantity((status.get("used") or {}).get(name, "0"))
        if most is not None and used is not None:
            yield _NAMES.get(name, name), most - used, most


def quota_to_install(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """There is room for the control plane.

    A Deployment whose pods go beyond a quota stands there without pods, and only its events say so.
    """
    lacking = [
        f"{placed(quota)} leaves {left.normalize():f} {name} of {PLANE[name].normalize():f}"
        for quota in cluster.all("resourcequotas", cluster.root)
        for name, left, _most in _left(quota)
        if name in PLANE and left < PLANE[name]
    ]
    if lacking:
        yield broken(few(lacking, 3), cluster.kubectl(f"-n {cluster.root} describe resourcequotas"))
    else:
        yield fine("enough")


def quotas(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Namespaces with sidecars have room for more.

    Each sidecar asks for CPU and memory of its own; in a namespace that is full the next pod does not start.
    """
    spaces = {cluster.root, *cluster.injected_namespaces()}
    full = [
        f"{placed(quota)} has {name} left for {left.normalize():f} of {most.normalize():f}"
        for quota in cluster.all("resourcequotas")
        if quota["metadata"]["namespace"] in spaces
        for name, left, most in _left(quota)
        if name in PLANE and most and (most - left) / most >= _FULL
    ]
    if full:
        yield doubtful(few(full, 3), cluster.kubectl("describe resourcequotas -A"))
    else:
        yield fine(f"{len(spaces)} namespaces")


def limit_ranges(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Containers of sidecars are not too small for a LimitRange.

    The API server refuses pods with a container that asks for less than the least.
    """
    spaces = {cluster.root, *cluster.injected_namespaces()}
    wrong = [
        f"{placed(each)} asks at least {text} {name}"
        for each in cluster.all("limitranges")
        if each["metadata"]["namespace"] in spaces
        for limit in each.get("spec", {}).get("limits") or ()
        if limit.get("type") == "Container"
        for name, text in (limit.get("min") or {}).items()
        if name in _SIDECAR and (quantity(text) or 0) > _SIDECAR[name]
    ]
    if wrong:
        yield broken(few(wrong, 3), cluster.kubectl("get limitranges -A -o yaml"))
    else:
        yield fine("none is in the way")


def pod_security(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Pods may be given sidecars where they are to have them.

    istio-init writes the rules of capture, for which it needs NET_ADMIN: the levels baseline and restricted refuse
    that.
    """
    by_name = {named(each): labels(each).get(_ENFORCED, "") for each in cluster.all("namespaces")}
    wrong = [
        f"{name} ({by_name[name]})" for name in cluster.injected_namespaces() if by_name[name] in _STRICT
    ]
    if wrong:
        first = wrong[0].partition(" ")[0]
        yield broken(
            few(wrong), cluster.kubectl(f"label --overwrite namespace {first} {_ENFORCED}=privileged")
        )
    else:
        yield fine(f"{sum(1 for _ in cluster.injected_namespaces())} namespaces")


CHECKS = (
    Check(quota_to_install, When.BEFORE, needs=("resourcequotas",)),
    Check(quotas, When.AFTER, needs=("resourcequotas", "namespaces")),
    Check(limit_ranges, needs=("limitranges", "namespaces")),
    Check(pod_security, needs=("namespaces",)),
)
