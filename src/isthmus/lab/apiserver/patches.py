"""Patches of three kinds: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer
import msgspec
import yaml

from isthmus.lab.apiserver.errors import ApiError, bad_request, unsupported_media_type
from isthmus.lab.apiserver.json_values import copied
from isthmus.lab.apiserver.schema import Schema
from isthmus.lab.apiserver.strategic import strategic_merge

Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
KINDS = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


class _Loader(yaml.CSafeLoader):
    """YAML as JSON knows it: a time is text."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_body(body: bytes, content_type: str) -> Any:
    """What a request's body says, in JSON or YAML. Raises a 400 where it is neither."""
    try:
        if "yaml" in content_type:
            return yaml.load(body, Loader=_Loader)  # noqa: S506 - a safe loader
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        raise bad_request(f"the request's body cannot be read: {error}") from error


def patched(obj: Json, patch: Any, kind: str, schema: Schema | None) -> Json:
    """`obj` after `patch`; `obj` itself is left as it is. Custom resources know no strategic merge."""
    if kind == JSON_PATCH:
        return _json_patched(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("the patch is no object")
    if kind == MERGE_PATCH:
        merged: Json = merge(copied(obj), patch)
        return merged
    if kind == STRATEGIC_PATCH and schema is not None:
        return strategic_merge(obj, patch, schema)
    raise unsupported_media_type([each for each in KINDS if each != STRATEGIC_PATCH])


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects go deeper, everything else replaces. Changes `target`."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


def _json_patched(obj: Json, patch: Any) -> Json:
    try:
        changed: Json = jsonpatch.JsonPatch(patch).apply(obj)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ApiError(422, "Invalid", f"the server rejected our request: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise ApiError(422, "Invalid", f"the patch cannot be applied: {error}") from error
    return changed
