"""A mesh drawn from manifests alone: what is missing to it while nothing runs is made up, the same each time.

Gateways of the Gateway API get their Deployments, Deployments get pods, pods and Services get addresses, Services
get the endpoints that their clusters would find. What is written down (a pod's own address, EndpointSlices) stays
as it is.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.resource import Object, Ref
from isthmus.console.drawn_gateways import MadeFor
from isthmus.console.drawn_pods import (
    Addresses,
    Behind,
    Tree,
    addressed,
    balanced,
    key_of,
    meta_of,
    part,
    pods_of,
    refusing_sidecars,
    with_addresses,
)
from isthmus.console.laid_over import applied, outdated
from isthmus.console.proxy_environment import settings_told
from isthmus.console.written import Manifest
from isthmus.console.yaml_places import NOWHERE, Place
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey, refused
from isthmus.model.codes import code_of_problem
from isthmus.model.findings import Finding
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ALONE, ClusterId
from isthmus.translate.generation import Generation, Translator


class _Document(NamedTuple):
    place: Place
    cluster: str
    value: Tree
    is_made_up: bool = False
    is_live: bool = False  # a cluster holds it: what follows from it is there, too


@dataclass(frozen=True, slots=True)
class DrawnMesh:
    """A generation of the mesh, where its objects are written, and what was made up."""

    generation: Generation
    places: Mapping[ChangeKey, Place]  # of each object
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    objects: Mapping[ClusterId, Mapping[Ref, Object]] = field(default_factory=dict)  # as written, by cluster

    def place_of(self, ref: Ref, cluster: str = "") -> Place | None:
        """Where an object is written: in that cluster, else in that of the configuration, else in any."""
        of_config = self.generation.mesh.settings.config_cluster
        for each in dict.fromkeys((cluster, of_config, *self.objects)):
            place = self.places.get(ChangeKey(ClusterId(each), ref))
            if place is not None:
                return place
        return None


def draw(
    manifests: Iterable[Manifest],
    held: Mapping[str, Iterable[Tree]] | None = None,
    given: Addresses | None = None,
) -> DrawnMesh:
    """The mesh that `manifests` make over what clusters have `held`, by their names.

    Of two objects with one name in one cluster the later holds, and what is in files before what was held.
    Addresses that are made up are put into `given`, and taken from there in another mesh that is compared.
    The first cluster that is named holds the configuration. Raises `InvalidConfig` where a text is no YAML.
    """
    texts = tuple(manifests)
    given = {} if given is None else given
    found = [
        _Document(NOWHERE, cluster, value, is_live=True)
        for cluster, values in (held or {}).items()
        for value in values
    ]
    found += [document for manifest in texts for document in _documents(manifest)]
    clusters = list(dict.fromkeys(one.cluster for one in found if one.cluster)) or [ALONE]
    objects = _by_cluster(found, clusters, over=held is not None)
    settings = settings_told(one.value for one in found if one.is_live)
    for one in found:
        if one.value.get("kind") == "Case":
            settings |= one.value.get("settings", {})
    changes: list[Change] = []
    places: dict[ChangeKey, Place] = {}
    written: dict[ClusterId, dict[Ref, Object]] = {ClusterId(name): {} for name in clusters}
    made_up: list[str] = []
    for number, (name, by_key) in enumerate(objects.items()):
        drawn, pods = _drawn(number, list(by_key.values()), given)
        made_up += [f"{pods} in {name}"] if pods else []
        for one in drawn:
            change = _change(ClusterId(name), one)
            if change is not None:
                changes.append(change)
                places[change.key] = one.place
                if isinstance(change.value, Object) and not one.is_made_up:
                    written[change.key.cluster][change.key.ref] = change.value
    base = msgspec.convert({"config_cluster": clusters[0], **settings}, MeshSettings)
    step = MeshBuilder(base).apply(changes)
    generation = Translator().generation(step.mesh, step.delta)
    notes = [f"pods are made up for Deployments: {', '.join(made_up)}"] if made_up else []
    notes += [_laid_over(held, texts)] if held is not None else []
    return DrawnMesh(generation, places, tuple(notes), step.mesh.findings, written)


def _by_cluster(
    found: Iterable[_Document], clusters: list[str], *, over: bool
) -> dict[str, dict[tuple[str, str, str, str], _Document]]:
    """The documents of each cluster; of several with one name the last, `over` what the cluster made of the first."""
    objects: dict[str, dict[tuple[str, str, str, str], _Document]] = {name: {} for name in clusters}
    for one in found:
        if one.value.get("kind") not in {"Case", "Cluster"}:
            of_cluster, key = objects[one.cluster or clusters[0]], _key(one.value)
            before = of_cluster.get(key)
            is_laid = over and not one.is_live
            value = applied(before.value if before else None, one.value) if is_laid else one.value
            of_cluster[key] = one._replace(value=value)
    return objects


def _laid_over(held: Iterable[str], files: Iterable[Manifest]) -> str:
    over = ", ".join(dict.fromkeys(each.name for each in files))
    what = f"what {', '.join(held)} hold{'s' if len([*held]) == 1 else ''}"
    return f"made of {what}{f' and {over} over it' if over else ''}: no proxy was asked"


def _documents(manifest: Manifest) -> Iterator[_Document]:
    cluster = manifest.cluster
    for error in manifest.wrong:
        raise InvalidConfig(f"{manifest.name}:{error.line}", error.message) from error
    for place, value in manifest.objects:
        kind = value.get("kind")
        if kind == "Expect" or not isinstance(kind, str):
            continue
        if kind == "Cluster":
            cluster = str(meta_of(value).get("name", ""))
        yield _Document(place, cluster, value)


def _key(value: Tree) -> tuple[str, str, str, str]:
    meta, group = meta_of(value), str(value.get("apiVersion", "")).rpartition("/")[0]
    return group, str(value.get("kind")), str(meta.get("namespace") or "default"), str(meta.get("name"))


def _drawn(number: int, found: list[_Document], given: Addresses) -> tuple[list[_Document], int]:
    """The documents of one cluster with pods, addresses and slices where there are none; how many pods are made up."""
    if number == 0:
        found = [*found, *_of_gateways(found)]
    laid = [one for one in found if not one.is_live]
    refusing = refusing_sidecars(one.value for one in found)
    made = [one._replace(value=pod, is_made_up=True) for one in laid for pod in pods_of(one.value, refusing)]
    found = _still_there(found, laid, made)
    values = [one.value for one in found]
    pods = [one for one in found if one.value.get("kind") == "Pod"]
    give = addressed(number, values, given)
    whole = [
        one if one.is_live else one._replace(value=with_addresses(one.value, give)) for one in (*pods, *made)
    ]
    rest = [
        one if one.is_live else one._replace(value=balanced(with_addresses(one.value, give), give))
        for one in found
        if one.value.get("kind") != "Pod"
    ]
    behind = Behind((one.value for one in whole), values)
    sliced = [
        one._replace(value=slice_, is_made_up=True) for one in rest for slice_ in behind.slices_of(one.value)
    ]
    return [*whole, *rest, *sliced], len(made)


def _still_there(found: list[_Document], laid: list[_Document], made: list[_Document]) -> list[_Document]:
    """The documents without what makes way in a cluster for those that are laid over it."""
    live = [one.value for one in found if one.is_live]
    if not live:
        return found
    gone = outdated(live, [one.value for one in laid], [one.value for one in made])
    return [one for one in found if not one.is_live or key_of(one.value) not in gone]


def _of_gateways(found: list[_Document]) -> Iterator[_Document]:
    """What stands in the cluster of the configuration because of Gateways that are in files alone."""
    made_for = MadeFor(one.value for one in found)
    for one in found:
        if not one.is_live:
            yield from (one._replace(value=each, is_made_up=True) for each in made_for.objects(one.value))


def as_stored(value: Tree) -> Tree:
    """A Secret as API servers keep it: what was written as text stands among its data."""
    texts = value.get("stringData") if value.get("kind") == "Secret" else None
    if not isinstance(texts, dict):
        return value
    rest = {name: each for name, each in value.items() if name != "stringData"}
    coded = {name: b64encode(str(text).encode()).decode() for name, text in texts.items()}
    return {**rest, "data": {**part(value, "data"), **coded}}


def _change(cluster: ClusterId, document: _Document) -> Change | None:
    """The change that puts an object; None for kinds that the mesh does not read."""
    value = as_stored(document.value)
    try:
        kind = kind_of(str(value.get("apiVersion", "")), str(value.get("kind", "")))
    except UnknownKind:
        return None
    meta = dict(meta_of(value))
    meta["namespace"] = (meta.get("namespace") or "default") if kind.namespaced else ""
    ref = Ref(kind.ref_kind, str(meta["namespace"]), str(meta.get("name") or ""))
    try:
        return Change(ChangeKey(cluster, ref), decode(kind, {**value, "metadata": meta}))
    except InvalidConfig as error:
        path = ": ".join(filter(None, (str(document.place), error.path)))
        code = code_of_problem(error.path, error.message)
        finding = Finding(ref=ref, path=path, message=error.message, code=code)
        return Change(ChangeKey(cluster, ref), refused(finding, error.instead))
