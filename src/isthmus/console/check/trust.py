"""Checks of what workloads believe each other by: roots, their lives, trust domains, and who signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from isthmus.console.certificate_warnings import age, ends_soon
from isthmus.console.check.cluster import CONFIG, Cluster, Json, few, is_true, named
from isthmus.console.check.endpoints import is_ready
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine
from isthmus.console.programs import CITADEL
from isthmus.kit.certified import Certified, certified_pem
from isthmus.kit.x509 import InvalidCertificate
from isthmus.model.findings import Severity

ROOTS, _KEY = "istio-ca-root-cert", "root-cert.pem"


def roots(cluster: Cluster, namespace: str) -> tuple[Certified, ...]:
    """What pods of a namespace believe. Raises `InvalidCertificate`."""
    held = cluster.one("configmaps", ROOTS, namespace)
    text = (held or {}).get("data", {}).get(_KEY, "")
    return certified_pem(str(text).encode()) if text else ()


def _roots(cluster: Cluster) -> tuple[Certified, ...]:
    try:
        return roots(cluster, cluster.root)
    except InvalidCertificate:
        return ()


def roots_published(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Every namespace whose pods get sidecars has the roots.

    A sidecar without them believes no Citadel, gets no certificate, and its pod never becomes ready.
    """
    if not cluster.is_installed:
        return
    wanted = sorted({cluster.root, *cluster.injected_namespaces()})
    lacking = [each for each in wanted if cluster.one("configmaps", ROOTS, each) is None]
    if lacking:
        look = cluster.kubectl(f"-n {cluster.root} logs -l {CITADEL} -c citadel")
        yield broken(f"no ConfigMap {ROOTS} in {few(lacking)}", f"{look}   (Citadel writes them)")
    else:
        yield fine(f"{len(wanted)} namespaces")


def roots_readable(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The roots are certificates, and live.

    With a root that has ended, every call of the mesh fails at once.
    """
    try:
        found = roots(cluster, cluster.root)
    except InvalidCertificate as error:
        yield broken(f"ConfigMap {cluster.root}/{ROOTS}: {error}", _rewrite(cluster))
        return
    wrong = False
    for each in found:
        soon = ends_soon(each, cluster.now)
        if each.begin > cluster.now:
            soon = f"{each.name!r} begins in {age(each.begin - cluster.now)}", Severity.ERROR
        if soon is not None:
            wrong, mend = True, "isthmus ca rotate start   (docs/guides/rotate-roots.md)"
            seen, severity = soon
            yield broken(seen, mend) if severity is Severity.ERROR else doubtful(seen, mend)
    if found and not wrong:
        yield fine(
            f"{len(found)}, the first to end is in {age(min(each.end for each in found) - cluster.now)}"
        )


def _rewrite(cluster: Cluster) -> str:
    return cluster.kubectl(f"-n {cluster.root} delete configmap {ROOTS}   (Citadel writes it anew)")


def roots_in_common(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """All clusters have a root in common.

    Workloads of clusters without one do not believe each other: every call between them fails in its handshake.
    """
    ours = {each.sha256 for each in _roots(cluster)}
    shared = []
    for other in clusters:
        theirs = {each.sha256 for each in _roots(other)}
        if other.name == cluster.name or not ours or not theirs:
            continue
        if ours & theirs:
            shared.append(other.name)
        elif cluster.name < other.name:
            names = ", ".join(each.name for each in _roots(other))
            yield broken(
                f"none with {other.name}, which believes {names}",
                "isthmus ca init --help   (one root for all clusters: docs/guides/certificates.md)",
            )
    if shared:
        yield fine(f"with {few(shared)}")


def citadel(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """A Citadel is ready in each cluster that has the mesh.

    Workloads get no certificates without one, and theirs end within a day.
    """
    if not cluster.is_installed and not any(True for _ in cluster.meshed()):
        return
    pods = [named(pod) for pod in cluster.of_mesh("citadel") if is_true(pod, "Ready")]
    look = cluster.kubectl(f"-n {cluster.root} describe pods -l {CITADEL}")
    if not pods:
        yield broken("none is ready", look)
    elif not is_ready(cluster, cluster.root, "istio-citadel"):
        yield broken("Service istio-citadel has no endpoint that is ready", look)
    else:
        yield fine(few(pods))


def _settings(cluster: Cluster) -> Json:
    held = next((found for _name, found in cluster.of_revisions("configmaps", CONFIG) if found), None)
    try:
        read = yaml.safe_load((held or {}).get("data", {}).get("mesh", "")) if held else None
    except yaml.YAMLError:
        read = None
    return read if isinstance(read, dict) else {}


def trust_domains(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """All clusters are of one trust domain, or know each other's.

    Names of workloads begin with it; policies that name callers, and Pilot itself, believe no other.
    """
    ours = str(_settings(cluster).get("trustDomain", ""))
    known = {ours, *map(str, _settings(cluster).get("trustDomainAliases") or ())}
    if not ours:
        return
    strange = []
    for other in clusters:
        theirs = str(_settings(other).get("trustDomain", ""))
        if theirs and theirs not in known:
            strange.append(f"{theirs} of {other.name}")
    if strange:
        mend = cluster.kubectl(f"-n {cluster.root} edit configmap {CONFIG}   (trustDomainAliases)")
        yield broken(f"{ours}, which does not know {few(strange)}", mend)
    else:
        yield fine(ours)


CHECKS = (
    Check(roots_published, When.AFTER, needs=("configmaps", "namespaces", "pods")),
    Check(roots_readable, When.AFTER, needs=("configmaps",)),
    Check(roots_in_common, needs=("configmaps",)),
    Check(citadel, When.AFTER, needs=("pods", "endpointslices")),
    Check(trust_domains, needs=("configmaps", "pods")),
)
