"""Checks of the API server: that it answers, what it can, what time it has, what may be done there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from isthmus.console.check.cluster import Cluster, Right, few
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine
from isthmus.kit.x509 import BACKDATE_S

OLDEST = (1, 25)
"""The oldest Kubernetes that is looked after: older ones lack kinds that are read or written."""
_LATE_S = 10.0
_RELEASE = re.compile(r"v?(\d+)\.(\d+)")
APIS = (
    ("apps/v1", "Deployments of the control plane"),
    ("authentication.k8s.io/v1", "Citadel asks here whose a token is"),
    ("coordination.k8s.io/v1", "several Pilots agree by Leases who writes"),
    ("discovery.k8s.io/v1", "Pilot reads endpoints from EndpointSlices"),
    ("rbac.authorization.k8s.io/v1", "each part has rights of its own"),
)
TO_INSTALL = (
    Right(verb="create", group="", resource="namespaces"),
    Right(verb="create", group="apiextensions.k8s.io", resource="customresourcedefinitions"),
    Right(verb="create", group="rbac.authorization.k8s.io", resource="clusterroles"),
    Right(verb="create", group="rbac.authorization.k8s.io", resource="clusterrolebindings"),
    *(
        Right(verb="create", group=group, resource=resource, namespace="istio-system")
        for group, resource in (
            ("", "configmaps"),
            ("", "secrets"),
            ("", "serviceaccounts"),
            ("", "services"),
            ("apps", "deployments"),
            ("rbac.authorization.k8s.io", "roles"),
            ("rbac.authorization.k8s.io", "rolebindings"),
        )
    ),
)
TO_LOOK = (
    Right(verb="create", group="", resource="pods/portforward", namespace="istio-system"),
    Right(verb="get", group="", resource="pods/portforward", namespace="istio-system"),
)


def release(version: str) -> tuple[int, int] | None:
    """Major and minor of `v1.34.1+k3s1`."""
    found = _RELEASE.match(version)
    return (int(found[1]), int(found[2])) if found else None


def api_server(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The API server answers.

    Pilot learns of a cluster only from there, and all of this is read there.
    """
    if cluster.error:
        yield broken(cluster.error, cluster.kubectl("version"))
    else:
        yield fine(cluster.server)


def kubernetes_version(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Kubernetes is new enough.

    Older ones lack kinds that the mesh reads or writes, and versions of them.
    """
    if cluster.error:
        return
    found, oldest = release(cluster.version), "{}.{}".format(*OLDEST)
    if found is None:
        yield doubtful(f"says its version is {cluster.version!r}", cluster.kubectl("version"))
    elif found < OLDEST:
        yield broken(f"{cluster.version}, and {oldest} is the oldest that serves", "upgrade the cluster")
    else:
        yield fine(cluster.version)


def served_apis(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The API server serves what the mesh reads and writes.

    A part of an API may be switched off, or wait for a server that is gone.
    """
    served = {str(each["metadata"]["name"]) for each in cluster.all("apigroups")}
    lacking = [f"{api} ({use})" for api, use in APIS if api not in served]
    if lacking:
        yield broken(f"without {'; '.join(lacking)}", cluster.kubectl("api-versions"))
    else:
        yield fine(f"all {len(APIS)} groups")


def clock(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The API server and this machine agree on what time it is.

    Certificates and tokens begin and end by the clock. What is signed here counts five minutes ago already; a
    cluster that is further behind refuses it.
    """
    if cluster.error:
        return
    apart = abs(cluster.ahead_s)
    way = "ahead" if cluster.ahead_s > 0 else "behind"
    if apart < _LATE_S:
        yield fine("less than 10 s apart")
        return
    said = f"its clock is {apart:.0f} s {way}"
    mend = "chronyc tracking   (there, and here: one of them is not kept right by NTP)"
    yield broken(said, mend) if apart > BACKDATE_S else doubtful(said, mend)


def clocks_agree(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """The clocks of all clusters agree.

    A certificate that one cluster signs is not valid yet, or not any more, in another whose clock is elsewhere.
    """
    for other in clusters:
        apart = abs(cluster.ahead_s - other.ahead_s)
        if cluster.name < other.name and apart >= _LATE_S:
            said = f"{apart:.0f} s from the clock of {other.name}"
            mend = "chronyc tracking   (on machines of both)"
            yield broken(said, mend) if apart > BACKDATE_S else doubtful(said, mend)


def rights_to_install(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """You may create what an installation consists of.

    An installation that stops half-way leaves parts that nobody asked for.
    """
    yield from _rights(cluster, TO_INSTALL)


def rights_to_look(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """You may ask Pilot and Citadel through the API server.

    Debug pages answer over loopback only, and Kubernetes' port-forward leads there.
    """
    yield from _rights(cluster, TO_LOOK)


def _rights(cluster: Cluster, wanted: tuple[Right, ...]) -> Iterator[Said]:
    asked = [right for right in wanted if right in cluster.may and not cluster.error]
    lacking = [str(right) for right in asked if not cluster.may[right]]
    if lacking:
        first = next(right for right in asked if not cluster.may[right])
        of = f"{first.resource}.{first.group}" if first.group else first.resource
        place = f" -n {first.namespace}" if first.namespace else ""
        yield broken(f"you may not {few(lacking)}", cluster.kubectl(f"auth can-i {first.verb} {of}{place}"))
    elif asked:
        yield fine(f"all {len(asked)} rights")


CHECKS = (
    Check(api_server),
    Check(kubernetes_version),
    Check(served_apis, needs=("apigroups",)),
    Check(clock),
    Check(clocks_agree, needs=("namespaces",)),
    Check(rights_to_install, When.BEFORE),
    Check(rights_to_look, When.AFTER),
)
