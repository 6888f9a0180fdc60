"""The Helm chart, made of what `isthmus install` prints: values are its settings, templates its objects.

A chart cannot run our code, so that objects are made for each way to take each value, and laid over each other
(`families`). Texts and numbers that stand in for values are replaced by expressions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from isthmus.api.crd import MARK
from isthmus.console.chart.families import Taken, laid_over
from isthmus.console.chart.knobs import BESIDE, NAMESPACE, SHAPES, TOGETHER, USUAL, Knobs, Shape
from isthmus.console.chart.said import schema, values
from isthmus.console.chart.shared import NOTES, SHARED
from isthmus.console.chart.templates import PART, UNFOLDED, template
from isthmus.console.install import profiles
from isthmus.console.install.labels import labelled
from isthmus.console.install.profiles import profile_names
from isthmus.console.install.settings import Installation
from isthmus.console.installation import DEFINITIONS, documents, dump
from isthmus.console.manifests import read
from isthmus.kit.release import RELEASE

Json = dict[str, Any]
KEPT = {"helm.sh/resource-policy": "keep"}
"""The annotation of what Helm leaves when it uninstalls: with it all that users have would go."""
_NEEDS_NETWORK = (
    '(required "network: is missing (hint: the network that this gateway lets into)" .Values.network)'
)
_NO_ELSEWHERE = (
    "(or (not .Values.injectionURL) (fail "
    '"injectionURL: is of remote clusters, and a primary\'s Pilot injects its pods (hint: leave it out)"))'
)


def spec_of(said: dict[str, Any]) -> Json:
    """Settings by path as they are nested."""
    made: Json = {}
    for path, value in said.items():
        *way, last = path.split(".")
        place = made
        for each in way:
            place = place.setdefault(each, {})
        place[last] = value
    return made


def unfolded(found: Json) -> Json:
    """The object with its texts of YAML as what they say. Changes it."""
    if found["kind"] == "ConfigMap":
        data = found.get("data", {})
        data |= {key: {UNFOLDED: read(text)} for key, text in data.items()}
    return found


def _whole(value: Any, parts: Sequence[Any]) -> Any:
    """`value` with one word in place of each of `parts` in it, the maps and lists that come as users say them."""
    if isinstance(value, dict | list) and value in parts:
        return PART + json.dumps(value, sort_keys=True)
    if isinstance(value, dict):
        return {name: _whole(each, parts) for name, each in value.items()}
    return [_whole(each, parts) for each in value] if isinstance(value, list) else value


def _templates() -> Iterator[tuple[str, str]]:
    """The template of each shape, by name."""
    for shape in SHAPES:
        yield shape.name, _template(shape)


def _template(shape: Shape) -> str:
    knobs = Knobs(shape)
    parts = [json.loads(each) for each in knobs.marks.parts]

    @cache  # most are the same, however the choices are taken
    def marked(text: bytes) -> Json:
        """The object of JSON with the mark for its namespace, also where it is the usual one."""
        found = unfolded(msgspec.json.decode(text.replace(USUAL.encode(), NAMESPACE.encode())))
        if found["kind"] == "Namespace":
            found["metadata"]["annotations"] = KEPT
        whole: Json = _whole(found, parts)
        return whole

    def make(taken: Taken) -> list[Json]:
        ways = dict(taken)
        said = {each.path: each.values[ways.get(at, 0)] for at, each in enumerate(knobs.found)}
        made = msgspec.convert(spec_of(knobs.fixed | said), Installation)
        found = documents(shape.role, made, with_definitions=False)
        return [marked(msgspec.json.encode(each)) for each in found]

    beside = [at for at, knob in enumerate(knobs.found) if knob.path in BESIDE]
    at = {knob.path: number for number, knob in enumerate(knobs.found)}
    together = [[at[path] for path in several] for several in TOGETHER if {*several} <= at.keys()]
    node = laid_over(make, [len(each.values) for each in knobs.found], beside, together)
    test = f'(eq .Values.role "{shape.role}")'
    if shape.layout:
        test = f'(and {test} (eq .Values.layout "{shape.layout}"))'
    if shape.role == "primary":
        test = f"(and {test} {_NO_ELSEWHERE})"
    if "network" in shape.fixed:
        test = f"(and {test} {_NEEDS_NETWORK})"
    return template(shape.name, test, node, knobs)


def _definitions(role: str) -> Iterator[str]:
    """The definitions of a role, each but where somebody else brought one of its name."""
    (label, ours), *_ = MARK.items()
    yield f'{{{{- if and .Values.definitions (eq .Values.role "{role}") }}}}\n'
    for each in labelled(list(DEFINITIONS[role]()), role, Installation()):
        each["metadata"]["annotations"] = each["metadata"].get("annotations", {}) | KEPT
        kind = '"apiextensions.k8s.io/v1" "CustomResourceDefinition"'
        yield f'{{{{- $there := lookup {kind} "" "{each["metadata"]["name"]}" }}}}\n'
        yield f'{{{{- if or (not $there) (eq (dig "metadata" "labels" "{label}" "" $there) "{ours}") }}}}\n---\n'
        yield dump([each]).replace("{{", '{{ "{{" }}') + "{{- end }}\n"
    yield "{{- end }}\n"


def files() -> Iterator[tuple[str, str]]:
    """All files of the chart, by their paths within it."""
    about = {
        "apiVersion": "v2",
        "name": "isthmus",
        "type": "application",
        "version": RELEASE,
        "appVersion": RELEASE,
    }
    about["description"] = "One service mesh over Kubernetes clusters in public and private clouds"
    yield "Chart.yaml", "".join(f"{name}: {value}\n" for name, value in about.items())
    yield "values.yaml", values()
    yield "values.schema.json", json.dumps(schema(), indent=2) + "\n"
    for name in profile_names():
        yield f"profiles/{name}.yaml", (resources.files(profiles) / f"{name}.yaml").read_text()
    yield "templates/_isthmus.tpl", SHARED
    yield "templates/NOTES.txt", NOTES
    for role in DEFINITIONS:
        yield f"templates/definitions-{role}.yaml", "".join(_definitions(role))
    for name, text in _templates():
        yield f"templates/{name}.yaml", text
