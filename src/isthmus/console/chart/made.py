"""The Helm chart, made of what `isthmus install` prints: values are its settings, templates its objects.

A chart cannot run our code, so that objects are made for each way to take each value, and laid over each other
(`families`). Texts and numbers that stand in for values are replaced by expressions.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from isthmus.api.crd import custom_resource_definitions
from isthmus.api.described import docstrings, hints
from isthmus.console.chart.families import Taken, laid_over
from isthmus.console.chart.templates import Knob, Marks, template
from isthmus.console.install.settings import Installation
from isthmus.console.installation import documents, dump
from isthmus.kit.release import RELEASE

Json = dict[str, Any]
TEXTS = {
    "cluster": "zz-cluster-zz",
    "network": "zz-network-zz",
    "revision": "zz-revision-zz",
    "image": "zz-image-zz:1",
    "trustDomain": "zz-trust-zz",
    "pilotTrustDomain": "zz-pilots-zz",
    "domain": "zz-domain-zz",
    "accessLog": "/zz-log-zz",
    "controlPlane.priorityClass": "zz-priority-zz",
}
MAY_BE_EMPTY = {"network", "revision", "accessLog", "pilotTrustDomain", "controlPlane.priorityClass"}
NAMESPACE, USUAL = "zz-namespace-zz", "istio-system"
NUMBERS = {
    "controlPlane.replicas": 731,
    "controlPlane.autoscaling.minReplicas": 732,
    "controlPlane.autoscaling.maxReplicas": 733,
    "controlPlane.autoscaling.cpu": 734,
    "webhooks.timeoutSeconds": 29,
}
WORDS: dict[str, tuple[object, ...]] = {
    "ca": ("", "plugged-in", "self-signed", "either"),
    "renewals": (False, True),
    "managedGateways": (True, False),
    "imagePullPolicy": ("", "Always", "IfNotPresent", "Never"),
    "networkPolicies.enabled": (True, False),
    "pilot.plainXds": (False, True),
    "webhooks.enabled": (True, False),
    "webhooks.failurePolicy": ("Fail", "Ignore"),
    "webhooks.validationFailurePolicy": ("Ignore", "Fail"),
    "webhooks.injectByDefault": (False, True),
    "controlPlane.autoscaling.enabled": (False, True),
    "controlPlane.disruption.enabled": (True, False),
    "controlPlane.spread": ("preferred", "none", "required"),
}
PARTS: dict[str, object] = {
    "controlPlane.nodeSelector": {"zz-node": "zz"},
    "controlPlane.affinity": {"zz-affinity": "zz"},
    "controlPlane.tolerations": [{"key": "zz-taint"}],
    "pilot.resources.requests": {"cpu": "7311m"},
    "pilot.resources.limits": {"cpu": "7312m"},
    "citadel.resources.requests": {"cpu": "7313m"},
    "citadel.resources.limits": {"cpu": "7314m"},
    "injector.resources.requests": {"cpu": "7315m"},
    "injector.resources.limits": {"cpu": "7316m"},
}
SHAPES = {
    "primary-together": ("primary", "together"),
    "primary-apart": ("primary", "apart"),
    "remote": ("remote", ""),
}


_BESIDE = {"revision", "webhooks.enabled", "webhooks.injectByDefault", "renewals"}
"""What brings along, or puts in order, something that other values change."""


def knobs() -> list[Knob]:
    """The values that decide what is there, the usual way first."""
    found = []
    for path, text in TEXTS.items():
        if path in MAY_BE_EMPTY:
            found.append(Knob(path, ("", text), (f"(not .Values.{path})", f".Values.{path}")))
    # One name is that of Istio's own where the namespace is the usual one.
    tests = (f'(ne .Release.Namespace "{USUAL}")', f'(eq .Release.Namespace "{USUAL}")')
    found.append(Knob("namespace", (NAMESPACE, USUAL), tests))
    for path, words in WORDS.items():
        found.append(Knob(path, words, tuple(_test(path, each) for each in words)))
    for path, part in PARTS.items():
        found.append(Knob(path, (part, type(part)()), (f".Values.{path}", f"(not .Values.{path})")))
    return found


def _test(path: str, value: object) -> str:
    if isinstance(value, bool):
        return f".Values.{path}" if value else f"(not .Values.{path})"
    return f"(eq .Values.{path} {json.dumps(value)})"


def spec_of(said: dict[str, object]) -> Json:
    """Settings by path as they are nested."""
    made: Json = {}
    for path, value in said.items():
        *way, last = path.split(".")
        place = made
        for each in way:
            place = place.setdefault(each, {})
        place[last] = value
    return made


def objects(role: str, installation: Installation) -> list[Json]:
    """What is installed, but for the namespace, which Helm makes, and definitions, which have a place of their own."""
    found = documents(role, installation, with_definitions=False)
    return [each for each in found if each["kind"] != "Namespace"]


def _namespaced(found: list[Json]) -> list[Json]:
    """The objects with the mark for their namespace, also where it is the usual one."""
    made: list[Json] = json.loads(json.dumps(found).replace(USUAL, NAMESPACE))
    return made


def templates() -> Iterator[tuple[str, str]]:
    """Each file of templates, by name."""
    all_knobs = knobs()
    marks = Marks(
        {TEXTS[path]: f".Values.{path}" for path in TEXTS} | {NAMESPACE: ".Release.Namespace"},
        {number: f".Values.{path}" for path, number in NUMBERS.items()},
        {json.dumps(part, sort_keys=True): f"toYaml .Values.{path}" for path, part in PARTS.items()},
    )
    beside = [at for at, knob in enumerate(all_knobs) if knob.path in _BESIDE]
    fixed: dict[str, object] = {path: text for path, text in TEXTS.items() if path not in MAY_BE_EMPTY}
    fixed |= NUMBERS
    for name, (role, layout) in SHAPES.items():
        of_shape: dict[str, object] = fixed | ({"layout": layout} if layout else {})

        def make(taken: Taken, role: str = role, of_shape: dict[str, object] = of_shape) -> list[Json]:
            ways = {knob.path: knob.values[way] for knob, way in zip(all_knobs, taken, strict=True)}
            made = msgspec.convert(spec_of(of_shape | ways), Installation)
            return _namespaced(objects(role, made))

        node = laid_over(make, [len(each.values) for each in all_knobs], beside)
        test = f'(eq .Values.role "{role}")' + (f' (eq .Values.layout "{layout}")' if layout else "")
        text = template(node, all_knobs, marks)
        yield f"{name}.yaml", f"{{{{- if and {test} }}}}\n{text}{{{{- end }}}}\n"


def values() -> str:
    """values.yaml: each value with what it does, and what it is without a word."""
    lines = [
        "# The settings of `isthmus install`, as far as the chart has them. Each is told in the reference.",
        "",
    ]
    lines += [
        "# What is installed: `primary`, Pilot and Citadel; `remote`, Citadel and the names of another's Pilot.",
        "role: primary",
    ]
    defaults = msgspec.to_builtins(Installation())
    lines += _said(Installation, spec_of(dict.fromkeys(paths())), defaults, "")
    return "\n".join(lines) + "\n"


def paths() -> list[str]:
    """All values of the chart but for its role, in the order of the settings."""
    return ["layout", *TEXTS, *WORDS, *NUMBERS, *PARTS]


def _said(of: Any, wanted: Json, defaults: Json, margin: str) -> Iterator[str]:
    told, kinds = docstrings(of), hints(of)
    for field in msgspec.structs.fields(of):
        name = field.encode_name
        if name not in wanted:
            continue
        words = " ".join(told.get(field.name, "").split())
        yield from (f"{margin}# {line}" for line in _wrapped(words, 110 - len(margin)))
        if isinstance(wanted[name], dict):
            yield f"{margin}{name}:"
            yield from _said(kinds[field.name], wanted[name], defaults[name], margin + "  ")
        else:
            yield f"{margin}{name}: {json.dumps(defaults[name])}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def schema() -> Json:
    """values.schema.json: what may be said, and nothing else, so that nothing is passed over in silence."""
    fields: Json = {"role": {"enum": ["primary", "remote"]}, "layout": {"enum": ["together", "apart"]}}
    fields |= {path: {"type": "string"} for path in TEXTS}
    fields["cluster"] = {"type": "string", "minLength": 1}
    for path, words in WORDS.items():
        fields[path] = {"type": "boolean"} if isinstance(words[0], bool) else {"enum": list(words)}
    fields |= {path: {"type": "integer", "minimum": 0} for path in NUMBERS}
    fields |= {
        path: {"type": "array" if isinstance(part, list) else "object"} for path, part in PARTS.items()
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_closed(spec_of(fields))}


def _closed(tree: Json) -> Json:
    below = {
        name: each
        if {"type", "enum"} & each.keys() and not isinstance(each.get("type"), dict)
        else _closed(each)
        for name, each in tree.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": {**below, "global": {}}}


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
    # Helm applies these where a cluster has none of the name, and never changes them: others' definitions stay.
    yield "crds/definitions.yaml", dump(list(custom_resource_definitions()))
    for name, text in templates():
        yield f"templates/{name}", text
