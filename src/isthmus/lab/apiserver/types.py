"""The types of objects that the API server serves, and how one is found by its names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One version of one resource. Its objects are stored unless its only verb is `create` (reviews)."""

    group: str  # empty for the core group
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS

    @property
    def api_version(self) -> str:
        """As objects write it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def resource(self) -> str:
        """As error messages write it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> bool:
        """Whether objects of the type are kept, rather than answered (reviews) at once."""
        return "get" in self.verbs


class Types:
    """All served types. Of a resource's versions the first one added is the preferred one."""

    def __init__(self, types: Iterable[ResourceType] = ()) -> None:
        self._by_plural: dict[tuple[str, str], dict[str, ResourceType]] = {}
        self._by_kind: dict[tuple[str, str], ResourceType] = {}
        for each in types:
            self.add(each)

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        return self._by_plural.get((group, plural), {}).get(version)

    def preferred(self, group: str, plural: str) -> ResourceType | None:
        return next(iter(self.versions(group, plural)), None)

    def versions(self, group: str, plural: str) -> tuple[ResourceType, ...]:
        """The resource in all its versions, the preferred one first."""
        return tuple(self._by_plural.get((group, plural), {}).values())

    def by_kind(self, api_version: str, kind: str) -> ResourceType | None:
        return self._by_kind.get((api_version, kind))

    def all(self) -> tuple[ResourceType, ...]:
        """Every version of every resource, in the order of adding."""
        return tuple(self)

    def __iter__(self) -> Iterator[ResourceType]:
        for versions in self._by_plural.values():
            yield from versions.values()

    def add(self, each: ResourceType) -> None:
        """Serve `each`, instead of what had the same group, version and plural."""
        self._by_plural.setdefault((each.group, each.plural), {})[each.version] = each
        self._by_kind[each.api_version, each.kind] = each

    def remove(self, group: str, plural: str) -> None:
        """Serve the resource in no version any more."""
        for each in self._by_plural.pop((group, plural), {}).values():
            self._by_kind.pop((each.api_version, each.kind), None)
