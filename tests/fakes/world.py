"""A world of resources that are only names and versions, for tests of the server that serves them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.kit.versioned import Versioned


def resource(name: str, version: str) -> Versioned:
    """Its body says what it is: `name@version`."""
    return Versioned(name, f"{name}@{version}".encode(), version)


@dataclass(frozen=True)
class FakeGeneration:
    """One state of the world; everyone sees all of it."""

    number: int
    resources_by_type: dict[str, dict[str, Versioned]]
    touched_by_type: dict[str, frozenset[str] | None] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    """Names of which nothing is known yet, of whatever type."""

    def touched(self, subject: object, type_url: str) -> frozenset[str] | None:
        return self.touched_by_type.get(type_url, frozenset())

    def resources(self, subject: object, type_url: str, names: frozenset[str] | None) -> Iterable[Versioned]:
        found = self.resources_by_type.get(type_url, {})
        if names is None:
            return tuple(found.values())
        return tuple(found[name] for name in sorted(names) if name in found)

    def unsettled(self, subject: object, type_url: str, names: frozenset[str]) -> frozenset[str]:
        return self.unknown & names


class FakeWorld:
    """Makes generations: put and remove, then `next`."""

    def __init__(self) -> None:
        self.now: dict[str, dict[str, Versioned]] = {}
        self._touched: dict[str, set[str]] = {}
        self._number = 0
        self.unknown: frozenset[str] = frozenset()
        self.vague = False
        """Whether generations say that anything may differ, in place of names."""

    def put(self, type_url: str, name: str, version: str) -> None:
        self.now.setdefault(type_url, {})[name] = resource(name, version)
        self._touched.setdefault(type_url, set()).add(name)

    def remove(self, type_url: str, name: str) -> None:
        self.now.setdefault(type_url, {}).pop(name, None)
        self._touched.setdefault(type_url, set()).add(name)

    def touch(self, type_url: str, name: str) -> None:
        """Say that something of it may differ, whatever it is."""
        self._touched.setdefault(type_url, set()).add(name)

    def next(self) -> FakeGeneration:
        self._number += 1
        touched = {t: None if self.vague else frozenset(names) for t, names in self._touched.items()}
        self._touched = {}
        return FakeGeneration(
            self._number, {t: dict(found) for t, found in self.now.items()}, touched, self.unknown
        )
