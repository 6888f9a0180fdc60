"""A directory of Cluster objects beside their kubeconfigs, watched while we run.

The form is that of Istio 0.7 (`--clusterRegistriesDir`): `clusterregistry.k8s.io/v1alpha1` objects with
annotations `config.istio.io/…`. One wrong object never takes another with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.api.yaml import documents
from isthmus.discovery.cluster_file import ClusterFile, read_cluster
from isthmus.discovery.registry import Claims, ClusterSpec
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.watchable import Watchable
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId

_LOOK_EVERY_S = 0.5

Signature = frozenset[tuple[str, int, int, int]]
Files = Mapping[str, tuple[ClusterFile, ...]]
"""The clusters that each file describes, by the file's path in the directory."""


class FilesSource:
    """The directory, looked at twice a second: names, sizes and times first, contents when those differ.

    Contents are read when names, sizes and times have come to rest, since editors write in several steps.
    A file that becomes wrong leaves its clusters as they were; one that goes takes them with it. Where the
    directory itself goes or cannot be read, all stay as they were: nobody said that they left. While it describes
    no cluster, `own` is all that is known.
    """

    def __init__(
        self, directory: Path, clock: Clock | None = None, *, own: ClusterSpec | None = None
    ) -> None:
        self.claims: Watchable[Claims] = Watchable(Claims())
        self.looked = asyncio.Event()
        self._files: Files = {}
        self._directory, self._own = directory, own
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        seen: Signature | None = None
        last: Signature | None = None
        while True:
            now = await asyncio.to_thread(signature, self._directory)
            if seen is None or (now != seen and now == last):
                await self._read()
                seen = now
            last = now
            await self._clock.sleep(_LOOK_EVERY_S)

    async def _read(self) -> None:
        try:
            files, findings = await asyncio.to_thread(read_files, self._directory)
            wrong = {finding.ref.name for finding in findings if finding.severity is Severity.ERROR}
        except OSError as error:
            files, findings = {}, [_unreadable(self._directory, error)]
            wrong = set(self._files)
        kept = {file: _kept(self._files.get(file, ()), files.get(file, ())) for file in wrong}
        self._files = {file: found for file, found in sorted({**files, **kept}.items()) if found}
        found = claims_of(self._files, findings)
        if not found.specs and self._own is not None:
            found = Claims((self._own,), found.findings)
        self.claims.set(found)
        self.looked.set()


def signature(directory: Path) -> Signature:
    """What changes whenever a file below the directory does; links, as in volumes, are followed."""
    found = set()
    with suppress(OSError):  # a directory that goes while it is read: the next look sees more
        for path in directory.rglob("*"):
            with suppress(OSError):
                stat = path.stat()
                found.add((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return frozenset(found)


def read_directory(directory: Path) -> Claims:
    """The clusters that the directory's `.yaml` and `.yml` files describe, and all that is wrong with them."""
    try:
        return claims_of(*read_files(directory))
    except OSError as error:
        return Claims(findings=(_unreadable(directory, error),))


def read_files(directory: Path) -> tuple[Files, list[Finding]]:
    """The clusters that each file describes, and what is wrong within each.

    Raises `OSError` where the directory, or one below it, is not there or may not be read.
    """
    next(directory.iterdir(), None)
    files: dict[str, tuple[ClusterFile, ...]] = {}
    findings: list[Finding] = []
    for path in sorted(directory.rglob("*.y*ml")):
        if path.suffix in {".yaml", ".yml"} and not _is_hidden(path, directory) and _is_meant(path):
            found, wrong = _read_file(path, directory)
            files[str(path.relative_to(directory))] = tuple(found)
            findings += wrong
    return files, findings


def claims_of(files: Files, findings: list[Finding]) -> Claims:
    """The clusters of all files as they stand together.

    Exactly one must be the configuration store (`config.istio.io/pilotCfgStore`); clusters of another
    Pilot (`config.istio.io/pilotEndpoint` differs from the store's) are left to that one.
    """
    clusters = [cluster for _, found in sorted(files.items()) for cluster in found]
    unique, doubles = _without_doubles(clusters)
    chosen, strangers = _of_this_pilot(unique)
    return Claims(tuple(chosen), tuple(findings + doubles + strangers))


def _kept(before: tuple[ClusterFile, ...], now: tuple[ClusterFile, ...]) -> tuple[ClusterFile, ...]:
    names = {cluster.name for cluster in now}
    return (*now, *(cluster for cluster in before if cluster.name not in names))


def _is_hidden(path: Path, directory: Path) -> bool:
    # Mounted volumes hold each file twice: under `..data` and as a link to it.
    return any(part.startswith(".") for part in path.relative_to(directory).parts)


def _is_meant(path: Path) -> bool:
    # A link to nothing is a file that is wrong, not one that went.
    return path.is_file() or (path.is_symlink() and not path.exists())


def _unreadable(directory: Path, error: OSError) -> Finding:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _about(directory.name, "$", f"{directory} is no directory (hint: create it)")
    what = f"{error.filename or directory} cannot be read: {error.strerror}"
    return _about(directory.name, "$", f"{what}{_mend(error)}")


def _mend(error: Exception) -> str:
    """What to do where the file is another's: Pilot's pod is not root."""
    return (
        f" (hint: it must be readable by user {os.geteuid()})" if isinstance(error, PermissionError) else ""
    )


def _read_file(path: Path, directory: Path) -> tuple[list[ClusterFile], list[Finding]]:
    where = str(path.relative_to(directory))
    try:
        values = [document.value for document in documents(path.read_text())]
    except InvalidConfig as error:
        return [], [_about(where, error.path, error.message)]
    except (OSError, UnicodeDecodeError) as error:
        return [], [_about(where, "$", f"cannot be read: {error}{_mend(error)}")]
    clusters: list[ClusterFile] = []
    findings: list[Finding] = []
    for number, document in enumerate(values):
        if _is_kubeconfig(document):
            continue
        at = f"$[{number}]" if len(values) > 1 else "$"
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


def _of_this_pilot(clusters: list[ClusterFile]) -> tuple[list[ClusterSpec], list[Finding]]:
    if not clusters:
        return [], []
    stores = [cluster for cluster in clusters if cluster.is_store]
    if len(stores) != 1:
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
    ref = Ref("ClusterFile", "", file)
    return Finding(ref=ref, path=path, message=message, severity=severity, code=Code.CLUSTER)
