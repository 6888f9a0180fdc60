"""A directory of Cluster objects beside their kubeconfigs, watched while we run.

The form is that of Istio 0.7 (`--clusterRegistriesDir`): `clusterregistry.k8s.io/v1alpha1` objects with
annotations `config.istio.io/…`. One wrong object never takes another with it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from isthmus.api.resource import Ref
from isthmus.discovery.cluster_file import ClusterFile, read_cluster
from isthmus.discovery.registry import Claims, ClusterSpec
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.watchable import Watchable
from isthmus.model.findings import Finding, Severity
from isthmus.model.names import ClusterId

_LOOK_EVERY_S = 0.5

Signature = frozenset[tuple[str, int, int, int]]


class FilesSource:
    """The directory, looked at twice a second: names, sizes and times first, contents when those differ."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        self.claims: Watchable[Claims] = Watchable(Claims())
        self._directory = directory
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        seen: Signature | None = None
        while True:
            now = await asyncio.to_thread(signature, self._directory)
            if now != seen:
                self.claims.set(await asyncio.to_thread(read_directory, self._directory))
                seen = now
            await self._clock.sleep(_LOOK_EVERY_S)


def signature(directory: Path) -> Signature:
    """What changes whenever a file below the directory does; links, as in volumes, are followed."""
    found = set()
    for path in directory.rglob("*"):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.add((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return frozenset(found)


def read_directory(directory: Path) -> Claims:
    """The clusters that the directory's `.yaml` and `.yml` files describe, and all that is wrong with them.

    Exactly one must be the configuration store (`config.istio.io/pilotCfgStore`); clusters of another
    Pilot (`config.istio.io/pilotEndpoint` differs from the store's) are left to that one.
    """
    if not directory.is_dir():
        finding = _about(directory.name, "$", f"{directory} is no directory (hint: create it)")
        return Claims(findings=(finding,))
    clusters: list[ClusterFile] = []
    findings: list[Finding] = []
    for path in sorted(directory.rglob("*.y*ml")):
        if path.suffix in {".yaml", ".yml"} and path.is_file() and not _is_hidden(path, directory):
            found, wrong = _read_file(path, directory)
            clusters += found
            findings += wrong
    unique, doubles = _without_doubles(clusters)
    chosen, strangers = _of_this_pilot(unique, had_any=bool(clusters or findings))
    return Claims(tuple(chosen), tuple(findings + doubles + strangers))


def _is_hidden(path: Path, directory: Path) -> bool:
    # Mounted volumes hold each file twice: under `..data` and as a link to it.
    return any(part.startswith(".") for part in path.relative_to(directory).parts)


def _read_file(path: Path, directory: Path) -> tuple[list[ClusterFile], list[Finding]]:
    where = str(path.relative_to(directory))
    try:
        documents = list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [], [_about(where, "$", f"cannot be read as YAML: {error}")]
    clusters: list[ClusterFile] = []
    findings: list[Finding] = []
    for number, document in enumerate(documents):
        if document is None or _is_kubeconfig(document):
            continue
        at = f"$[{number}]" if len(documents) > 1 else "$"
        cluster, wrong = read_cluster(document, directory)
        findings += [_about(where, at + path_in[1:], message) for path_in, message in wrong]
        if cluster is not None:
            clusters.append(cluster.found_in(where))
    return clusters, findings


def _is_kubeconfig(document: object) -> bool:
    return isinstance(document, dict) and document.get("kind") == "Config"


def _without_doubles(clusters: list[ClusterFile]) -> tuple[list[ClusterFile], list[Finding]]:
    first: dict[str, ClusterFile] = {}
    findings = []
    for cluster in clusters:
        kept = first.setdefault(cluster.name, cluster)
        if kept is not cluster:
            message = f"cluster {cluster.name!r} is described in {kept.file} already, so this one is ignored"
            findings.append(_about(cluster.file, "$.metadata.name", message))
    return list(first.values()), findings


def _of_this_pilot(clusters: list[ClusterFile], *, had_any: bool) -> tuple[list[ClusterSpec], list[Finding]]:
    stores = [cluster for cluster in clusters if cluster.is_store]
    if len(stores) != 1:
        if not had_any:
            return [], []
        names = ", ".join(cluster.name for cluster in stores) or "none"
        message = (
            f"exactly one cluster must be the configuration store, but {names} "
            f"{'is' if not stores else 'are'} (hint: set config.istio.io/pilotCfgStore: "
            '"true" on the cluster whose configuration Pilot reads)'
        )
        return [_spec(cluster) for cluster in clusters], [_about("directory", "$", message)]
    ours, findings = [], []
    for cluster in clusters:
        if cluster.pilot_endpoint == stores[0].pilot_endpoint:
            ours.append(_spec(cluster))
        else:
            message = f"belongs to the Pilot at {cluster.pilot_endpoint}, so it is left to that one"
            findings.append(_about(cluster.file, "$.metadata.annotations", message, Severity.INFO))
    return ours, findings


def _spec(cluster: ClusterFile) -> ClusterSpec:
    return ClusterSpec(
        id=ClusterId(cluster.name),
        access=cluster.access,
        source=f"file {cluster.file}",
        is_config=cluster.is_store,
    )


def _about(file: str, path: str, message: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(ref=Ref("ClusterFile", "", file), path=path, message=message, severity=severity)
