"""What a URL of the Kubernetes API means: which type, which object, which part of it."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.lab.apiserver.rbac import Access
from isthmus.lab.apiserver.types import ResourceType, Types


@dataclass(frozen=True, slots=True)
class Place:
    """A collection (no name), an object, or a subresource of it with what follows in the path."""

    each: ResourceType
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # behind `proxy/`

    def access(self, verb: str, named: str = "") -> Access:
        """What RBAC is asked about; `named` is the one object of a collection that is asked for."""
        return Access(
            verb=verb,
            resource=self.each.plural,
            group=self.each.group,
            version=self.each.version,
            subresource=self.subresource,
            namespace=self.namespace,
            name=self.name or named,
        )


def named_by(fields: str) -> str:
    """The name of the one object that a field selector lets through; empty where it may let several.

    Kubernetes asks of a list or a watch of it whether one may read that object, not all.
    """
    wanted = [each.partition("=") for each in fields.split(",")]
    return next((value.removeprefix("=") for key, _, value in wanted if key == "metadata.name"), "")


def place_of(path: str, types: Types) -> Place | None:
    """The place that `path` names; None where it is no path of a resource."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest]:
            return _place(types, "", version, rest)
        case ["apis", group, version, *rest]:
            return _place(types, group, version, rest)
    return None


def _place(types: Types, group: str, version: str, rest: list[str]) -> Place | None:
    # `/namespaces/NAME/RESOURCE…` is within a namespace; `/namespaces/NAME[/status|/finalize]` is one.
    if rest[:1] == ["watch"]:
        rest = rest[1:]
    if len(rest) >= 3 and rest[0] == "namespaces" and types.find(group, version, rest[2]) is not None:
        each = types.find(group, version, rest[2])
        if each is None or not each.namespaced:
            return None
        return _tail(each, rest[1], rest[3:])
    each = types.find(group, version, rest[0]) if rest else None
    return _tail(each, "", rest[1:]) if each is not None else None


def _tail(each: ResourceType, namespace: str, rest: list[str]) -> Place:
    name, subresource = [*rest, "", ""][:2]
    return Place(each, namespace, name, subresource, "/".join(rest[2:]))
