"""Checks of Pilot and of what it needs in its cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Meta
from isthmus.console.check.cluster import CONFIG, Cluster, Json, few, is_true, moment, named
from isthmus.console.check.endpoints import is_ready
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine
from isthmus.kit.release import RELEASE
from isthmus.model.mesh import MeshSettings
from isthmus.model.mesh_settings import read_settings

_LEASE = "istio-pilot-leader"
_LEASE_S = 60.0
"""Several times what a Lease of Pilot lives."""


def root_namespace(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The namespace of the control plane is not about to end.

    Nothing can be made in a namespace that ends, and what is in it goes.
    """
    namespace = cluster.one("namespaces", cluster.root)
    if namespace is None:
        yield fine(f"no namespace {cluster.root} yet")
    elif "deletionTimestamp" in namespace["metadata"]:
        yield broken(
            f"{cluster.root} ends since {namespace['metadata']['deletionTimestamp']}",
            cluster.kubectl(f"get namespace {cluster.root} -o yaml   (its conditions say what it waits for)"),
        )
    else:
        yield fine(cluster.root)


def pilot(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """A Pilot of the mesh is ready.

    Without one nothing changes any more: proxies keep what they have, and new pods do not become ready.
    """
    if cluster is not clusters[0]:
        return
    pods = [(each, pod) for each in clusters for pod in each.of_mesh("pilot")]
    ready = [named(pod) for _, pod in pods if is_true(pod, "Ready")]
    if ready:
        yield fine(few(ready))
    elif pods:
        where, pod = pods[0]
        yield broken(
            f"{named(pod)} in {where.name} is not",
            where.kubectl(f"-n {where.root} describe pod {named(pod)}"),
        )
    else:
        yield broken(
            "none runs in these clusters",
            cluster.install("primary"),
        )


def pilot_answers(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Every Pilot says what it knows.

    One that does not answer cannot be looked into, and may serve nobody.
    """
    for each in cluster.pilots:
        if each.error:
            logs = cluster.kubectl(f"-n {cluster.root} logs {each.pod}")
            yield broken(f"{each.pod}: {each.error}", logs)
        else:
            yield fine(f"{each.pod} of {each.version or 'no version'}")


def pilot_service(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Sidecars of the cluster find Pilot.

    They ask Service istio-pilot, whose endpoints Pilot itself writes in clusters that it does not run in.
    """
    for name, service in cluster.of_revisions("services", "istio-pilot"):
        if service is None:
            continue
        if is_ready(cluster, cluster.root, name) or _written(cluster, name):
            yield fine(f"Service {cluster.root}/{name}")
        else:
            look = f"-n {cluster.root} get endpoints,endpointslices"
            yield broken(f"Service {name} has no endpoint that is ready", cluster.kubectl(look))


def _written(cluster: Cluster, service: str) -> bool:
    held = cluster.one("endpoints", service, cluster.root)
    return bool(held and any(subset.get("addresses") for subset in held.get("subsets") or ()))


def leader(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """One Pilot leads.

    Only the leader writes statuses, makes Gateways' Envoys, and registers workloads outside of clusters.
    """
    if not cluster.pilots:
        return
    lease = cluster.one("leases", _LEASE, cluster.root)
    spec = (lease or {}).get("spec", {})
    look = cluster.kubectl(f"-n {cluster.root} get lease {_LEASE} -o yaml")
    if lease is None:
        yield broken(f"there is no Lease {_LEASE}", cluster.kubectl(f"-n {cluster.root} logs -l istio=pilot"))
    elif not spec.get("holderIdentity"):
        yield doubtful("nobody holds the Lease", look)
    elif cluster.now - moment(str(spec.get("renewTime", "1970-01-01T00:00:00Z"))) > _LEASE_S:
        yield broken(f"{spec['holderIdentity']} has not renewed its Lease for a minute", look)
    else:
        yield fine(str(spec["holderIdentity"]))


def mesh_settings(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Settings of the mesh can be read.

    Pilot keeps the last ones that it could read, and starts with defaults where there were none.
    """
    for name, held in cluster.of_revisions("configmaps", CONFIG):
        if held is not None:
            yield _readable(cluster, name, held)
        elif cluster.pilots:
            of = f" --revision {name.removeprefix(f'{CONFIG}-')}" if name != CONFIG else ""
            yield doubtful(f"no ConfigMap {name}: all are defaults", cluster.install("primary", of))


def _readable(cluster: Cluster, name: str, held: Json) -> Said:
    read = read_settings(
        ConfigMap(metadata=Meta(name=name, namespace=cluster.root), data=held.get("data") or {}),
        MeshSettings(),
    )
    edit = cluster.kubectl(f"-n {cluster.root} edit configmap {name}")
    if read.settings is None:
        return broken("; ".join(str(each) for each in read.findings[:3]), edit)
    if read.findings:
        return doubtful("; ".join(each.message for each in read.findings[:3]), edit)
    return fine(f"ConfigMap {cluster.root}/{name}")


def images(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The parts of the control plane are of one image.

    Pilot and Citadel of different releases are tried with each other for the time of an upgrade only.
    """
    found: dict[str, str] = {}
    for pod in cluster.of_mesh():
        for container in pod["spec"].get("containers") or ():
            found.setdefault(str(container.get("image")), named(pod))
    if len(found) > 1:
        seen = few([f"{name} has {image}" for image, name in found.items()])
        yield doubtful(seen, cluster.kubectl(f"-n {cluster.root} get pods -o wide"))
    elif found:
        yield fine(next(iter(found)))


def command_version(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """This command is of the release that runs.

    What it installs, and what it knows of pages and findings, is that of its own release.
    """
    others = sorted({each.version for each in cluster.pilots if each.version} - {RELEASE})
    if others:
        yield doubtful(f"{RELEASE}, and Pilot is {few(others)}", f"pip install isthmus=={others[-1]}")
    elif any(each.version for each in cluster.pilots):
        yield fine(RELEASE)


CHECKS = (
    Check(root_namespace, needs=("namespaces",)),
    Check(pilot, When.AFTER, needs=("pods",)),
    Check(pilot_answers, When.AFTER, needs=("pods",)),
    Check(pilot_service, When.AFTER, needs=("services", "endpointslices", "pods")),
    Check(leader, When.AFTER, needs=("leases",)),
    Check(mesh_settings, When.AFTER, needs=("configmaps", "pods")),
    Check(images, When.AFTER, needs=("pods",)),
    Check(command_version, When.AFTER, needs=("pods",)),
)
