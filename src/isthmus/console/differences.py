"""What differs between what the proxies of two meshes are sent; each change is told once, with all who have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.api.resource import Ref
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.proxy_resources import resources
from isthmus.envoy.types import RouteConfiguration
from isthmus.kit.versioned import Versioned
from isthmus.model.shards import has_sidecar
from isthmus.model.workload import Workload
from isthmus.translate.offline import PARTS
from isthmus.translate.show import as_tree, tree_of

_KEYS = ("name", "cluster_name", "key", "prefix")
"""By which field an entry of a list is the same in both."""


class FieldChange(msgspec.Struct, frozen=True):
    """A field that differs; None: it is not there."""

    path: str
    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True):
    """A resource that came, went, or changed in some fields."""

    part: str
    name: str
    what: str  # added, removed or changed
    fields: tuple[FieldChange, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """Proxies for which the same changes, and how they are called: `pod.namespace (cluster)`."""

    proxies: tuple[str, ...]
    changes: tuple[Change, ...]


class Differences(msgspec.Struct, frozen=True):
    """All that differs."""

    appeared: tuple[str, ...]
    gone: tuple[str, ...]
    groups: tuple[Group, ...]

    def __bool__(self) -> bool:
        return bool(self.appeared or self.gone or self.groups)


def differences(before: DrawnMesh, after: DrawnMesh) -> Differences:
    """What differs for each proxy that is in both, and the proxies that are in one alone."""
    was, now = _workloads(before), _workloads(after)
    having: dict[tuple[str, str], list[str]] = defaultdict(list)
    known: dict[tuple[str, str], Change] = {}
    compared: dict[tuple[str, str, bytes, bytes], Change | None] = {}
    for name in sorted(was.keys() & now.keys()):
        sent = resources(before, was[name]), resources(after, now[name])
        for part in sent[0]:
            for change in _changes(part, sent[0][part], sent[1][part], compared):
                # Fields have any shape, so that a change is known by what it says.
                key = (part, msgspec.json.encode(change).decode())
                known[key] = change
                having[key].append(name)
    by_proxies: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for key, proxies in having.items():
        by_proxies[tuple(proxies)].append(known[key])
    groups = (Group(proxies, tuple(changes)) for proxies, changes in by_proxies.items())
    return Differences(
        appeared=tuple(sorted(now.keys() - was.keys())),
        gone=tuple(sorted(was.keys() - now.keys())),
        groups=tuple(sorted(groups, key=lambda group: (-len(group.proxies), group.proxies))),
    )


def _workloads(drawn: DrawnMesh) -> dict[str, Workload]:
    """Those with a proxy, by how they are called."""
    found = drawn.generation.mesh.workloads.values()
    return {
        f"{each.name}.{each.namespace} ({each.cluster})": each for each in found if _has_proxy(drawn, each)
    }


def _has_proxy(drawn: DrawnMesh, workload: Workload) -> bool:
    """What no cluster has admitted yet may still get one."""
    pod = drawn.objects.get(workload.cluster, {}).get(Ref("Pod", workload.namespace, workload.name))
    if not isinstance(pod, Pod) or not pod.metadata.uid:
        return True
    return has_sidecar(pod) or pod.spec.has_proxy


def _changes(
    part: str,
    before: Mapping[str, Versioned],
    after: Mapping[str, Versioned],
    compared: dict[tuple[str, str, bytes, bytes], Change | None],
) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Change(part, name, "removed")
        elif name not in before:
            yield Change(part, name, "added")
        elif before[name].body != after[name].body:
            key = (part, name, before[name].body, after[name].body)
            if key not in compared:
                both = before[name], after[name]
                trees = (
                    _of_routes(*both) if part == "routes" else (as_tree(each, PARTS[part]) for each in both)
                )
                fields = tuple(_fields("", *trees))
                compared[key] = Change(part, name, "changed", fields) if fields else None
            found = compared[key]
            if found is not None:
                yield found


def _of_routes(*both: Versioned) -> Iterator[Any]:
    """Both as trees, without the virtual hosts that are the same in both: of many services one has changed."""
    configs = [RouteConfiguration.FromString(each.body) for each in both]
    names = [[host.name for host in each.virtual_hosts] for each in configs]
    if names[0] == names[1]:
        hosts = zip(*(each.virtual_hosts for each in configs), strict=True)
        same = [number for number, (one, other) in enumerate(hosts) if one == other]
        for each in configs:
            for number in reversed(same):
                del each.virtual_hosts[number]
    yield from map(tree_of, configs)


def _fields(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _fields(f"{path}.{key}".lstrip("."), before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _entries(path, before, after)
    else:
        yield FieldChange(path, before, after)


def _entries(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    """Entries that have names are the same by these; others by what they are, else by their places."""
    was, now = _named(before), _named(after)
    if was is not None and now is not None:
        for name in [*was, *(name for name in now if name not in was)]:
            yield from _fields(f"{path}[{name}]", was.get(name), now.get(name))
        kept = [name for name in was if name in now]
        if kept != [name for name in now if name in was]:
            yield FieldChange(path, "in the order " + ", ".join(was), "in the order " + ", ".join(now))
        return
    if len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _fields(f"{path}[{index}]", one, other)
        return
    for one in before:
        if one not in after:
            yield FieldChange(f"{path}[]", one, None)
    for one in after:
        if one not in before:
            yield FieldChange(f"{path}[]", None, one)


def _named(entries: list[Any]) -> dict[str, Any] | None:
    for key in _KEYS:
        if entries and all(isinstance(each, dict) and isinstance(each.get(key), str) for each in entries):
            found = {each[key]: each for each in entries}
            if len(found) == len(entries):
                return found
    return None if entries else {}
