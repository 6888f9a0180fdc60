"""What the API server says of its types to clients that know nothing: groups, versions, resources.

Two forms: one document a version (`APIResourceList`), as ever, and all at once (`APIGroupDiscoveryList`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver.types import ResourceType, Types

Json = dict[str, Any]

_EDITING = ("get", "patch", "update")
_PROXYING = ("create", "delete", "get", "patch", "update")


@dataclass(frozen=True, slots=True)
class _Subresource:
    """What clients send to a subresource and get from it; with no kind of its own: the resource's."""

    verbs: tuple[str, ...]
    kind: str = ""
    api_version: str = ""


_SUBRESOURCES = {
    "status": _Subresource(_EDITING),
    "approval": _Subresource(_EDITING),
    "scale": _Subresource(_EDITING, "Scale", "autoscaling/v1"),
    "log": _Subresource(("get",)),
    "finalize": _Subresource(("update",)),
    "exec": _Subresource(("create", "get"), "PodExecOptions", "v1"),
    "attach": _Subresource(("create", "get"), "PodAttachOptions", "v1"),
    "portforward": _Subresource(("create", "get"), "PodPortForwardOptions", "v1"),
    "eviction": _Subresource(("create",), "Eviction", "policy/v1"),
    "binding": _Subresource(("create",), "Binding", "v1"),
    "token": _Subresource(("create",), "TokenRequest", "authentication.k8s.io/v1"),
}


class Discovery:
    """The discovery documents of the types that are served at the time of asking."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def api_versions(self, address: str) -> Json:
        """What `/api` answers: the versions of the core group."""
        serving = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": serving}

    def groups(self) -> Json:
        """What `/apis` answers: all groups but the core group."""
        groups = [_group(name, versions) for name, versions in self._versions().items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Json | None:
        """What `/apis/NAME` answers, or `None` where there is no such group."""
        versions = self._versions().get(name)
        return {**_group(name, versions), "kind": "APIGroup", "apiVersion": "v1"} if versions else None

    def resources(self, group: str, version: str) -> Json | None:
        """What `/apis/GROUP/VERSION` answers, or `None` where nothing is served there."""
        types = [each for each in self._types if (each.group, each.version) == (group, version)]
        if not types:
            return None
        listed = [entry for each in types for entry in _listed(each)]
        place = types[0].api_version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": place, "resources": listed}

    def aggregated(self, *, core: bool, version: str) -> Json:
        """What `/api` (`core`) or `/apis` answers to those who want all in one, as of `version` (`v2`)."""
        items = [
            {
                "metadata": {"name": name} if name else {},
                "versions": [self._aggregated(name, v) for v in versions],
            }
            for name, versions in self._versions().items()
            if core is not bool(name)
        ]
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }

    def _aggregated(self, group: str, version: str) -> Json:
        types = [each for each in self._types if (each.group, each.version) == (group, version)]
        return {
            "version": version,
            "freshness": "Current",
            "resources": [_discovered(each) for each in types],
        }

    def _versions(self) -> dict[str, list[str]]:
        """The versions of each group, the preferred one first; the core group (empty) before others."""
        found: dict[str, list[str]] = {"": ["v1"]}
        for each in self._types:
            versions = found.setdefault(each.group, [])
            if each.version not in versions:
                versions.append(each.version)
        return found


def _group(name: str, versions: list[str]) -> Json:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def _listed(each: ResourceType) -> Iterable[Json]:
    entry: Json = {
        "name": each.plural,
        "singularName": each.singular,
        "namespaced": each.namespaced,
        "kind": each.kind,
        "verbs": list(each.verbs),
    }
    if each.stored:
        entry["storageVersionHash"] = _storage_hash(each)
    yield entry | _names(each)
    for name in sorted(each.subresources):
        sub = _subresource(each, name)
        place: Json = {}
        if sub.api_version:
            group, _, version = sub.api_version.rpartition("/")
            place = {"version": version} | ({"group": group} if group else {})
        yield {
            "name": f"{each.plural}/{name}",
            "singularName": "",
            "namespaced": each.namespaced,
            **place,
            "kind": sub.kind or each.kind,
            "verbs": list(sub.verbs),
        }


def _discovered(each: ResourceType) -> Json:
    entry: Json = {
        "resource": each.plural,
        "responseKind": _kind(each.api_version, each.kind),
        "scope": "Namespaced" if each.namespaced else "Cluster",
        "singularResource": each.singular,
        "verbs": list(each.verbs),
        **_names(each),
    }
    subresources: list[Json] = []
    for name in sorted(each.subresources):
        sub = _subresource(each, name)
        kind = _kind(sub.api_version or each.api_version, sub.kind or each.kind)
        subresources.append({"subresource": name, "responseKind": kind, "verbs": list(sub.verbs)})
    return entry | ({"subresources": subresources} if subresources else {})


def _names(each: ResourceType) -> Json:
    names = {"shortNames": list(each.short_names), "categories": list(each.categories)}
    return {key: value for key, value in names.items() if value}


def _subresource(each: ResourceType, name: str) -> _Subresource:
    if name == "proxy":
        return _Subresource(_PROXYING, f"{each.kind}ProxyOptions", "v1")
    return _SUBRESOURCES[name]


def _kind(api_version: str, kind: str) -> Json:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}


def _storage_hash(each: ResourceType) -> str:
    return hashlib.sha256(each.resource.encode()).hexdigest()[:12]
