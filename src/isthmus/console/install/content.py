"""What an object says, whoever reads it when: without its status, and what an API server notes of it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
_OF_THE_SERVER = {
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
}


def content(found: Json) -> Json:
    """The object without what changes though nobody wants it otherwise."""
    meta = {name: value for name, value in found["metadata"].items() if name not in _OF_THE_SERVER}
    return {name: value for name, value in found.items() if name != "status"} | {"metadata": meta}
