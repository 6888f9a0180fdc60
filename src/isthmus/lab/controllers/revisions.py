"""ControllerRevisions: templates that a StatefulSet or DaemonSet had. By them kubectl shows and undoes rollouts."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers.reconciler import controller_of, key_of, owned_by

Json = dict[str, Any]
LABEL = "controller-revision-hash"
_REVISIONS = builtin("controllerrevisions", "apps")


def template_hash(template: Json) -> str:
    """The same for equal templates, and another for others."""
    return hashlib.blake2b(msgspec.json.encode(template, order="sorted"), digest_size=5).hexdigest()


async def newest_revision(api: Api, owner: Json) -> Json:
    """The revision of the owner's template, which is its newest from now on."""
    every = _of(api, owner)
    number = max((each["revision"] for each in every), default=0)
    hash_ = template_hash(owner["spec"]["template"])
    found = next((each for each in every if each["metadata"]["labels"][LABEL] == hash_), None)
    if found is None:
        return await api.create(_REVISIONS, _made(owner, hash_, number + 1))
    if found["revision"] < number:  # rolled back to it
        return await api.patch(Target(_REVISIONS, *key_of(found)), {"revision": number + 1}, MERGE_PATCH)
    return found


def template_of(api: Api, owner: Json, name: str) -> Json:
    """The template of the revision called `name`; the owner's own where it is gone."""
    found = api.find(_REVISIONS, owner["metadata"]["namespace"], name)
    kept = owner if found is None else found["data"]
    template: Json = copy.deepcopy(kept["spec"]["template"])
    template.pop("$patch", None)
    return template


async def drop_history(api: Api, owner: Json, used: Iterable[str]) -> None:
    """Take the oldest revisions away that are not among `used`, beyond those that are to be kept."""
    kept = set(used)
    idle = [each for each in _of(api, owner) if each["metadata"]["name"] not in kept]
    limit = owner["spec"].get("revisionHistoryLimit", 10)
    for each in sorted(idle, key=lambda one: one["revision"])[: max(0, len(idle) - limit)]:
        await api.delete(Target(_REVISIONS, *key_of(each)))


def _of(api: Api, owner: Json) -> list[Json]:
    meta = owner["metadata"]
    every = api.list(_REVISIONS, meta["namespace"]).items
    return [each for each in every if (controller_of(each) or {}).get("uid") == meta["uid"]]


def _made(owner: Json, hash_: str, number: int) -> Json:
    meta, template = owner["metadata"], owner["spec"]["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{meta['name']}-{hash_}",
            "namespace": meta["namespace"],
            "labels": {**labels, LABEL: hash_},
            "ownerReferences": [owned_by(owner)],
        },
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
        "revision": number,
    }
