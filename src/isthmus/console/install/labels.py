"""The labels by which objects of an installation are known: of which role, and of which revision."""

from __future__ import annotations

from typing import Any

from isthmus.console.install.settings import Installation

ROLE = "install.isthmus.io/role"
REVISION = "install.isthmus.io/revision"
KEEPS = "install.isthmus.io/keeps"
_PART_OF = {"app.kubernetes.io/managed-by": "isthmus", "app.kubernetes.io/part-of": "isthmus"}

Json = dict[str, Any]


def labelled(objects: list[Json], role: str, installation: Installation) -> list[Json]:
    """`objects` with the labels of their installation. Changes them.

    What revisions share has none of one of them, or each new installation of one would change it.
    """
    for each in objects:
        meta = each["metadata"]
        own = {REVISION: installation.label} if _is_own(each, installation) else {}
        meta["labels"] = {**meta.get("labels", {}), **_PART_OF, ROLE: role, **own}
    return objects


def _is_own(found: Json, installation: Installation) -> bool:
    """Whether the object is of this revision alone: its name says so, and without a revision every name could."""
    return bool(installation.suffix) and installation.suffix in found["metadata"]["name"]


def is_ours(found: Json, role: str) -> bool:
    """Whether an object as it is there still says that it is of an installation of `role`."""
    labels = found["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/managed-by") == "isthmus" and labels.get(ROLE) == role


def is_anyones(found: Json) -> bool:
    """Whether an object as it is there is of any installation of Isthmus."""
    labels = found["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == "isthmus")


def part_of(found: Json) -> bool:
    """Whether an object as it is there was made of ours, whoever has put it there: Helm says that it is Helm's."""
    labels = found["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/part-of") == "isthmus")
