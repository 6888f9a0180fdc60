"""A mesh out of files, without any cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.resource import Ref
from isthmus.api.yaml import documents
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Finding
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import ClusterId

HERE = ClusterId("files")


def mesh_of_files(paths: Iterable[Path]) -> Mesh:
    """The mesh that the manifests in `paths` make, with what is wrong in them as findings."""
    builder = MeshBuilder(MeshSettings(config_cluster=HERE))
    changes = [change for path in paths for change in changes_of(path.read_text(), str(path))]
    return builder.apply(changes).mesh


def changes_of(text: str, where: str) -> list[Change]:
    """A change for each object that the mesh reads; what cannot be read is a finding."""
    changes: list[Change] = []
    try:
        found = list(documents(text))
    except InvalidConfig as error:
        return [_wrong(Ref("File", "", where), error)]
    for document in found:
        value = document.value
        if not isinstance(value, dict):
            continue
        try:
            kind = kind_of(str(value.get("apiVersion", "")), str(value.get("kind", "")))
        except UnknownKind:
            continue  # the mesh does not read it: nothing is wrong with that
        meta = value.get("metadata")
        meta = dict(meta) if isinstance(meta, dict) else {}
        meta["namespace"] = (meta.get("namespace") or "default") if kind.namespaced else ""
        ref = Ref(kind.name, str(meta["namespace"]), str(meta.get("name") or ""))
        try:
            changes.append(Change(ChangeKey(HERE, ref), decode(kind, {**value, "metadata": meta})))
        except InvalidConfig as error:
            changes.append(_wrong(ref, error))
    return changes


def _wrong(ref: Ref, error: InvalidConfig) -> Change:
    return Change(ChangeKey(HERE, ref), Finding(ref=ref, path=error.path, message=error.message))
