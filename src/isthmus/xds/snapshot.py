"""What one proxy holds of one type: names and versions.

Equal snapshots are one object, so a thousand proxies that hold the same cost as much as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from isthmus.kit.versioned import Versioned
from isthmus.xds.generation import EVERYTHING

GONE = ""
"""The version of a resource of which the proxy was told that there is none."""

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Diff:
    """What leads from one snapshot to the next."""

    changed: tuple[Versioned, ...] = ()
    removed: tuple[str, ...] = ()
    """Held and there no more."""
    absent: tuple[str, ...] = ()
    """Asked for, never held, and not there."""
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.absent)


def one(names: Iterable[str]) -> frozenset[str]:
    """The one object for this set of names."""
    made = frozenset(names)
    known = _NAMES.setdefault((hash(made), len(made)), made)
    return known if known == made else made


_NAMES: WeakValueDictionary[tuple[int, int], frozenset[str]] = WeakValueDictionary()


class Snapshot:
    """Versions by name; immutable. Made by `of` and `moved` only: these give one object for equal values."""

    __slots__ = ("__weakref__", "_print", "_versions")

    def __init__(self, versions: dict[str, str], fingerprint: int) -> None:
        self._versions, self._print = versions, fingerprint

    @staticmethod
    def of(versions: Mapping[str, str]) -> Snapshot:
        """The snapshot that holds exactly `versions`."""
        return EMPTY.moved(versions) if versions else EMPTY

    def moved(self, put: Mapping[str, str], drop: Iterable[str] = ()) -> Snapshot:
        """This snapshot with `put` in it and without `drop`.

        Costs as much as the difference where another proxy made the same step before. The fingerprint
        that finds it is a sum of keyed 64-bit hashes of a text each, which do not collide by chance or will.
        """
        total, size = self._print, len(self._versions)
        gone = {name for name in drop if name in self._versions and name not in put}
        for name in gone:
            total -= _hash(name, self._versions[name])
            size -= 1
        for name, version in put.items():
            old = self._versions.get(name)
            if old is None:
                size += 1
            else:
                total -= _hash(name, old)
            total += _hash(name, version)
        total &= 0xFFFF_FFFF_FFFF_FFFF
        known = _SNAPSHOTS.get((total, size))
        if known is not None:
            return known
        versions = {**self._versions, **put}
        for name in gone:
            del versions[name]
        made = _SNAPSHOTS[total, size] = Snapshot(versions, total)
        return made

    def advance(
        self,
        resources: Iterable[Versioned],
        among: frozenset[str] | None = EVERYTHING,
        resend: frozenset[str] = NOTHING,
    ) -> Diff:
        """What must be said so that a proxy that holds this comes to hold `resources`.

        `among` are the names that were looked for (None: all that are held); one of them without a
        resource was removed, or is absent. Those in `resend` differ in any case.
        """
        held = self._versions
        changed = []
        present = set()
        for resource in resources:
            name = resource.name
            present.add(name)
            if held.get(name) != resource.version or name in resend:
                changed.append(resource)
        missing = (held.keys() if among is None else among) - present
        removed = [name for name in missing if held.get(name)]
        absent = [name for name in missing if name not in held or (name in resend and not held[name])]
        return Diff(
            tuple(changed), tuple(sorted(removed)), tuple(sorted(absent)), len(present) - len(changed)
        )

    def get(self, name: str) -> str | None:
        """The version of `name`: None where nothing is known of it, `GONE` where it is known not to be."""
        return self._versions.get(name)

    def names(self) -> frozenset[str]:
        return frozenset(self._versions)

    def existing(self) -> dict[str, str]:
        """Versions by name, without what is gone."""
        return {name: version for name, version in self._versions.items() if version}

    def __contains__(self, name: str) -> bool:
        return name in self._versions

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)

    def __repr__(self) -> str:
        return f"Snapshot({self._versions!r})"


def _hash(name: str, version: str) -> int:
    # Not the hash of a tuple: that is so close to a sum of its parts' hashes that two names which
    # exchange their versions have the same.
    return hash(f"{name}\0{version}")


_SNAPSHOTS: WeakValueDictionary[tuple[int, int], Snapshot] = WeakValueDictionary()
EMPTY = Snapshot({}, 0)
_SNAPSHOTS[0, 0] = EMPTY
