"""`scale` of everything that has replicas: one form for Deployments and custom resources alike."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from aiohttp import web

from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.api import Api, Target, Write
from isthmus.lab.apiserver.crds import CustomResources
from isthmus.lab.apiserver.jsonpath import find
from isthmus.lab.apiserver.patches import patched, read_body
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]

_BUILTIN: Json = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".spec.selector",
}


class Scales:
    """Shows and sets how many replicas are wanted."""

    def __init__(self, api: Api, custom: CustomResources) -> None:
        self._api = api
        self._custom = custom

    async def answer(self, request: web.Request, place: Place, user: User) -> web.StreamResponse:
        """The `Scale` as it is, or after a PUT or PATCH."""
        paths = self._custom.scale(place.each) or _BUILTIN
        owner = self._api.get(place.each, place.namespace, place.name)
        scale = scale_of(owner, paths)
        if request.method in {"PUT", "PATCH"}:
            body = read_body(await request.read(), request.content_type)
            if request.method == "PATCH":
                body = patched(scale, body, request.content_type, None)
            scale = scale_of(await self._set(place, owner, paths, (body, _write(request, user))), paths)
        elif request.method != "GET":
            raise errors.method_not_allowed()
        return web.Response(body=msgspec.json.encode(scale), content_type="application/json")

    async def _set(self, place: Place, owner: Json, paths: Json, wanted: tuple[Json, Write]) -> Json:
        body, write = wanted
        replicas = (body.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise errors.bad_request("spec.replicas: Invalid value: must be greater than or equal to 0")
        changed = copy.deepcopy(owner)
        *steps, last = paths["specReplicasPath"].strip(".").split(".")
        inner = changed
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = replicas
        if version := (body.get("metadata") or {}).get("resourceVersion"):
            changed["metadata"]["resourceVersion"] = version
        return await self._api.update(Target(place.each, place.namespace, place.name), changed, write)


def scale_of(owner: Json, paths: Json) -> Json:
    """What is wanted and what is there, as `autoscaling/v1 Scale`."""
    meta = owner["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    wanted, there = (
        next(iter(find(paths[part], owner)), None) or 0 for part in ("specReplicasPath", "statusReplicasPath")
    )
    status: Json = {"replicas": there}
    if selector := next(iter(find(paths.get("labelSelectorPath") or ".none", owner)), None):
        status["selector"] = _text(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": wanted},
        "status": status,
    }


def _text(selector: object) -> str:
    if not isinstance(selector, dict):
        return str(selector)
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        values = f" ({','.join(each.get('values') or ())})"
        forms = {
            "In": f"{each['key']} in{values}",
            "NotIn": f"{each['key']} notin{values}",
            "Exists": each["key"],
        }
        parts.append(forms.get(each["operator"], f"!{each['key']}"))
    return ",".join(parts)


def _write(request: web.Request, user: User) -> Write:
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    dry_run = "All" in request.query.getall("dryRun", [])
    return Write(user, request.query.get("fieldManager") or agent, dry_run=dry_run)
