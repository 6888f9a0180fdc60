"""The page of Istio's annotations and labels: what each does here, made from what the code knows of them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.analyze.annotation_words import EFFECT, LABEL_EFFECT, NO_EFFECT
from isthmus.model.analyze.known_annotations import KNOWN, Known, has_effect

_HEAD = """\
# Annotations and labels

Every annotation that Istio defines: where it stands, how its value is read, and what it does here. Made by `make docs`;
do not edit. `isthmus analyze` tells of those that stand where they mean nothing, that are spelt wrong, that cannot be
read, and that have no effect. How sidecars are made is in [a guide](../guides/sidecars.md).

Wrong values of a pod's are told all at once: `isthmus kube-inject` writes nothing then, and a webhook refuses the pod.
"""
_VALUES = {
    "": "text",
    "bool": "`true` or `false`",
    "quantity": "quantity: `100m`, `128Mi`",
    "ports": "ports: `80,8080`",
    "ranges": "ranges: `10.0.0.0/8,fd00::/8`",
    "number": "number",
}


def text() -> str:
    """The page."""
    return "\n".join([_HEAD, *_annotations(), "", *_labels()]) + "\n"


def _annotations() -> Iterator[str]:
    yield "## Annotations"
    yield ""
    yield "| annotation | on | value | what it does |"
    yield "|---|---|---|---|"
    for name, known in sorted(KNOWN.items()):
        on = ", ".join(kind.removesuffix(".gateway.networking.k8s.io") for kind in known.kinds) or "any kind"
        yield f"| `{name}` | {on} | {_VALUES[known.value]} | {_does(name, known)} |"


def _does(name: str, known: Known) -> str:
    if not has_effect(name, ""):
        return f"No effect: {NO_EFFECT[name]}."
    without = [kind for kind in known.kinds if not has_effect(name, kind)]
    gone = " Istio has given it up." if known.given_up else ""
    return f"{EFFECT[name]}{gone}" + (f" No effect on {' and '.join(without)}." if without else "")


def _labels() -> Iterator[str]:
    yield "## Labels"
    yield ""
    yield "| label | what it does |"
    yield "|---|---|"
    for name, effect in sorted(LABEL_EFFECT.items()):
        yield f"| `{name}` | {effect} |"
