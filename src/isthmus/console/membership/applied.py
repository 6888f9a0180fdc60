"""Objects of an installation, put into a cluster by server-side apply and taken out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kube.client import APPLY_PATCH, Client, Json, path_of
from isthmus.kube.errors import NotFound

MANAGER = "isthmus-install"
_PLURALS = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}
_CLUSTERWIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
_KEPT = {"Namespace", "CustomResourceDefinition"}
"""Others may have put things into them: they stay."""
_OF_THE_SERVER = {"managedFields", "resourceVersion", "generation"}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind that an object says it is of."""
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    name = str(obj["kind"])
    plural = _PLURALS.get(name, f"{name.lower()}s")
    return Kind(group, (version,), name, plural, Object, namespaced=name not in _CLUSTERWIDE)


async def put(client: Client, objects: Sequence[Mapping[str, Any]], *, dry: bool) -> list[str]:
    """Make all objects so; returns those that were not, as `Kind name`. Raises `KubeError`."""
    changed = []
    for each in objects:
        before = await find(client, each)
        if before is None and dry:
            changed.append(_name(each))
            continue
        if _plain(before) != _plain(await _apply(client, each, dry=dry)):
            changed.append(_name(each))
    return changed


async def take(client: Client, objects: Sequence[Mapping[str, Any]], *, dry: bool) -> list[str]:
    """Delete all that are there, the last first; namespaces stay. Returns them as `Kind name`. Raises `KubeError`."""
    gone = []
    for each in reversed(objects):
        if each["kind"] in _KEPT or await find(client, each) is None:
            continue
        if not dry:
            meta = each["metadata"]
            try:
                await client.delete(kind_of(each), meta.get("namespace", ""), meta["name"])
            except NotFound:
                continue
        gone.append(_name(each))
    return gone


async def find(client: Client, obj: Mapping[str, Any]) -> Json | None:
    """The object of that kind and name as it is in the cluster. Raises `KubeError`."""
    meta = obj["metadata"]
    try:
        return await client.get(kind_of(obj), meta.get("namespace", ""), meta["name"])
    except NotFound:
        return None


async def _apply(client: Client, obj: Mapping[str, Any], *, dry: bool) -> Json:
    meta = obj["metadata"]
    query = {"fieldManager": MANAGER, "force": "true"} | ({"dryRun": "All"} if dry else {})
    path = path_of(kind_of(obj), meta.get("namespace", ""), meta["name"])
    body = await client.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)
    made: Json = msgspec.json.decode(body)
    return made


def _plain(obj: Json | None) -> Json | None:
    if obj is None:
        return None
    meta = {key: value for key, value in obj["metadata"].items() if key not in _OF_THE_SERVER}
    return {**obj, "metadata": meta, "status": None}


def _name(obj: Mapping[str, Any]) -> str:
    return f"{obj['kind']} {obj['metadata']['name']}"
