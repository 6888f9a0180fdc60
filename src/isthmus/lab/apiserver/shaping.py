"""How what somebody sent becomes what may be stored: unknown fields go, defaults come, the rest stays true.

Nothing here changes an object that it was not given to change.
"""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver import errors, signing_requests
from isthmus.lab.apiserver.json_values import copied, without_nulls
from isthmus.lab.apiserver.requests import Target, Write
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.types import ResourceType, Types
from isthmus.lab.apiserver.validation import Validation

Json = dict[str, Any]

_OVERTAKEN = "the object has been modified; please apply your changes to the latest version and try again"
_FIXED = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
_KEPT = ("resourceVersion", "generation", "deletionGracePeriodSeconds")
_NOT_THE_WISH = frozenset({"metadata", "status", "apiVersion", "kind"})


def in_version(obj: Json, each: ResourceType) -> Json:
    """`obj` in the version of `each`; the versions of a type differ in nothing else."""
    return obj if obj.get("apiVersion") == each.api_version else {**obj, "apiVersion": each.api_version}


def overtaken(target: Target) -> errors.ApiError:
    """Somebody else wrote the object in between."""
    return errors.conflict(target.each, target.name, _OVERTAKEN)


class Shaping:
    """Shapes the objects of one cluster."""

    def __init__(self, types: Types, schemas: Schemas) -> None:
        self._types, self._schemas = types, schemas
        self.validation = Validation(schemas)

    def known(self, each: ResourceType, obj: Json, write: Write) -> Json:
        """A copy of `obj` without unknown fields. Raises a 400 for them where the writer is strict."""
        unknown = self.validation.unknown(each, obj)
        if not unknown:
            return copied(obj)
        words = [f'unknown field "{path}"' for path in unknown]
        if write.strict:
            why = f"strict decoding error: {', '.join(words)}"
            raise errors.unlike(each, each.version, each.kind, why)
        for each_word in words:
            write.warn(each_word)
        return copied(self.validation.prune(each, obj))

    def shaped(self, each: ResourceType, obj: Json, write: Write) -> Json:
        """A copy of `obj`, its structure right and its defaults filled in. Raises `Invalid`."""
        obj = self.known(each, obj, write)
        if self._schemas.custom(each) is not None:
            # A custom resource may leave out what must be there where its schema has a default.
            return self._sound(each, self.validation.apply_defaults(each, obj))
        return self.validation.apply_defaults(each, self._sound(each, without_nulls(obj)))

    def _sound(self, each: ResourceType, obj: Json) -> Json:
        causes = self.validation.check_structure(each, obj)
        if causes:
            raise errors.invalid(each, (obj.get("metadata") or {}).get("name", ""), causes)
        return obj

    def applicable(self, target: Target, config: Json) -> Json:
        """A copy of an applied configuration, cut to what `target` may write. Raises a 400 for a bad one."""
        each = target.each
        meta = config.get("metadata") or {}
        if not isinstance(meta, dict):
            raise errors.bad_request("the applied configuration's metadata is no object")
        if meta.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        config = copied({**config, "metadata": meta})
        for path in self.validation.unknown(each, config):
            place = f"{target.namespace}/{target.name}"
            raise errors.undeclared(each, place, path)
        if self._schemas.custom(each) is None:
            config = without_nulls(config)
        if target.subresource in {"status", "approval"}:
            config = {"metadata": {}, "status": config.get("status") or {}}
        elif "status" in each.subresources:
            config.pop("status", None)
        config["apiVersion"], config["kind"] = each.api_version, each.kind
        config["metadata"]["name"] = target.name
        if each.namespaced:
            config["metadata"]["namespace"] = target.namespace
        return config

    def as_stored(self, obj: Json) -> Json:
        """`obj` in the preferred version of its resource, in which objects are kept."""
        each = self._types.by_kind(obj["apiVersion"], obj["kind"])
        preferred = self._types.preferred(each.group, each.plural) if each is not None else None
        return in_version(obj, preferred) if preferred is not None else obj

    def merged(self, target: Target, old: Json, obj: Json) -> Json:
        """What `obj`, which may be changed, makes of `old` where it may only write `target`.

        Raises a 409 where it is meant for another version or another object of this name.
        """
        meta, was = obj.setdefault("metadata", {}), old["metadata"]
        if meta.get("resourceVersion") and meta["resourceVersion"] != was["resourceVersion"]:
            raise overtaken(target)
        if meta.get("uid") and meta["uid"] != was["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {was['uid']}"
            raise errors.conflict(target.each, target.name, why)
        obj = _part(target, old, obj)
        meta = obj["metadata"]
        for name in (*_FIXED, *_KEPT):
            if name in was:
                meta[name] = was[name]
            else:
                meta.pop(name, None)
        return obj


def _part(target: Target, old: Json, obj: Json) -> Json:
    """What the write may touch of the object's own type."""
    if target.each.group == signing_requests.GROUP:
        return signing_requests.parts(old, _usual_part(target, old, obj), target.subresource)
    return _usual_part(target, old, obj)


def _usual_part(target: Target, old: Json, obj: Json) -> Json:
    """What the write may touch: all but the status, or the status alone."""
    if target.subresource in {"status", "approval"}:
        metadata = dict(old["metadata"])
        if sent := obj["metadata"].get("managedFields"):
            metadata["managedFields"] = sent
        return copied({**old, "metadata": metadata, "status": obj.get("status", {})})
    if "status" in target.each.subresources:
        rest = {key: value for key, value in obj.items() if key != "status"}
        return rest | ({"status": old["status"]} if "status" in old else {})
    return obj


def wish_differs(old: Json, obj: Json) -> bool:
    """Whether anything but metadata and status differs."""
    return any(old.get(key) != obj.get(key) for key in (old.keys() | obj.keys()) - _NOT_THE_WISH)


def same(old: Json, obj: Json) -> bool:
    """Whether a write would change nothing but who owns what since when."""
    return _unowned(old) == _unowned(obj) and _owned(old) == _owned(obj)


def _unowned(obj: Json) -> Json:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def _owned(obj: Json) -> list[Json]:
    fields = obj["metadata"].get("managedFields") or []
    return [{key: value for key, value in entry.items() if key != "time"} for entry in fields]
