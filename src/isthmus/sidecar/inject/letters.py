"""What stood letter by letter where injection wrote something else: told in the pod's status, for the way back.

`kube-uninject` writes it there again, with its quotes and comments. Webhooks see no letters, so they tell none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.sidecar.inject.items import item_name
from isthmus.sidecar.inject.pod import Json
from isthmus.sidecar.inject.status import STATUS

_KEY = "letters"
Where = Callable[[Json], tuple[str, ...] | None]
"""Where an object has the pod that it makes; None: it makes none."""
_Visit = Callable[[str, Json], Json]


def of(document: object, where: Where) -> dict[str, str]:
    """What all statuses in a document tell, by paths in it."""
    found: dict[str, str] = {}

    def visit(prefix: str, pod: Json) -> Json:
        kept = _said(pod).get(_KEY)
        texts = kept.items() if isinstance(kept, dict) else ()
        found.update({f"{prefix}{path}": text for path, text in texts if isinstance(text, str)})
        return pod

    _walked(document, where, visit)
    return found


def told(document: object, stood: Mapping[str, str], where: Where) -> object:
    """The document with `stood` in its statuses, of each pod what is under its path."""

    def visit(prefix: str, pod: Json) -> Json:
        own = {
            path.removeprefix(prefix): text for path, text in stood.items() if path.startswith(f"{prefix}/")
        }
        status = _said(pod)
        if not own or not status:
            return pod
        text = json.dumps({**status, _KEY: own}, separators=(",", ":"), ensure_ascii=False)
        metadata = pod["metadata"]
        return {**pod, "metadata": {**metadata, "annotations": {**metadata["annotations"], STATUS: text}}}

    return _walked(document, where, visit)


def _walked(document: Any, where: Where, visit: _Visit, prefix: str = "") -> Any:
    if not isinstance(document, dict):
        return document
    if document.get("kind") == "List":
        items = document.get("items") or []
        return {
            **document,
            "items": [_walked(each, where, visit, f"{prefix}/items/{item_name(each)}") for each in items],
        }
    path = where(document)
    if path is None:
        return document
    return _visited(document, path, visit, prefix)


def _visited(holder: Json, path: tuple[str, ...], visit: _Visit, prefix: str) -> Json:
    if not path:
        return visit(prefix, holder)
    key, *rest = path
    inner = holder.get(key)
    if not isinstance(inner, dict):
        return holder
    return {**holder, key: _visited(inner, tuple(rest), visit, f"{prefix}/{key}")}


def _said(pod: Json) -> Json:
    metadata = pod.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    try:
        status = json.loads(annotations[STATUS]) if isinstance(annotations, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}
