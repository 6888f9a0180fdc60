"""What is wrong in manifests or in a mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from isthmus.api import kind_of
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.resource import Ref
from isthmus.console.drawn_mesh import DrawnMesh, as_stored, draw
from isthmus.console.drawn_pods import Tree, labels_of, meta_of
from isthmus.console.fault import Fault, fault
from isthmus.console.findings_of_proxies import findings_of_proxies
from isthmus.console.written import Manifest, Written
from isthmus.console.yaml_places import NOWHERE
from isthmus.discovery.secret_claims import LABEL, claims_of
from isthmus.kit.clock import Clock, SystemClock
from isthmus.model.analyze.alone import alone, of_schema, ref_of
from isthmus.model.analyze.checks import analyze
from isthmus.model.codes import OF_SCHEMA
from isthmus.model.credential import certificate_path, life_finding
from isthmus.model.findings import Finding

_OURS = SystemClock()


def faults_of_each(manifests: Iterable[Manifest]) -> Iterator[Fault]:
    """Everything that is wrong with each object by itself."""
    for manifest in manifests:
        for error in manifest.wrong:
            whole = Ref("File", "", manifest.name)
            yield fault(of_schema(whole, error.path, error.message), manifest.name, error.line)
        for document, (key, line) in manifest.twice:
            found = of_schema(ref_of(document.value), "$", f"{key} {_TWICE}")
            yield fault(found, manifest.name, line)
        for each in manifest.objects:
            yield from _of_document(each)


_TWICE = "stands in one mapping twice, and the first has no effect (hint: keep one of the two)"


def faults_together(
    manifests: Iterable[Manifest],
    held: Mapping[str, Iterable[Tree]] | None = None,
    clock: Clock = _OURS,
) -> Iterator[Fault]:
    """What is wrong with the objects by themselves, and with the mesh that they make over what clusters hold.

    The clock says which certificates have come to their end.
    """
    texts = tuple(manifests)
    alone = tuple(faults_of_each(texts))
    yield from alone
    if any(error for manifest in texts for error in manifest.wrong):
        return  # what refers to what cannot be read is not wrong
    drawn = draw(texts, held)
    found = analyze(drawn.generation.mesh, drawn.objects, is_whole=held is not None)
    told = {(each.code, each.object, each.path) for each in alone}
    for finding in dict.fromkeys((*found, *findings_of_proxies(drawn), *_lives(drawn, clock.now()))):
        is_told = (finding.code.number, str(finding.ref), finding.path) in told
        if finding.code not in OF_SCHEMA and not is_told:
            yield fault(finding, *_place(drawn, finding))


def _lives(drawn: DrawnMesh, now: float) -> Iterator[Finding]:
    """What is to be said of the certificates in Secrets at `now`."""
    for key, credential in drawn.generation.mesh.credentials.items():
        found = drawn.objects.get(key.cluster, {}).get(key.ref)
        if isinstance(found, Secret | ConfigMap):
            wrong = life_finding(key, certificate_path(found), credential, now)
            yield from [wrong] if wrong is not None else []


def _of_document(written: Written) -> Iterator[Fault]:
    place, value = written
    for finding in _by_itself(value):
        path = finding.path.replace("$.data[", "$.stringData[") if "stringData" in value else finding.path
        yield fault(finding, place.file, place.line(path))


def _by_itself(value: Tree) -> Iterator[Finding]:
    """What is wrong with an object, whatever else is there."""
    stored = as_stored(value)
    yield from alone(stored)
    if value.get("kind") == "Secret" and labels_of(meta_of(value)).get(LABEL) == "true":
        with suppress(UnknownKind, InvalidConfig):
            found = decode(kind_of(str(value.get("apiVersion", "")), "Secret"), stored)
            if isinstance(found, Secret):
                yield from claims_of(ref_of(stored), found).findings


def _place(drawn: DrawnMesh, finding: Finding) -> tuple[str, int]:
    place = drawn.place_of(finding.ref, finding.cluster) or NOWHERE
    return (place.file, place.line(finding.path)) if place.file else ("", 0)
