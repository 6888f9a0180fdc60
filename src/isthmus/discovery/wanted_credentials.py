"""Which Secrets and ConfigMaps of all clusters are followed: those that somebody needs, and no others."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.kit.watchable import Watchable
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_names import names_of

Keys = frozenset[CredentialKey]


class WantedCredentials:
    """Adds up what is wanted; whoever follows clusters watches `current`."""

    def __init__(self) -> None:
        self.current: Watchable[Keys] = Watchable(frozenset())
        self._asked: Keys = frozenset()
        self._wanted: dict[str, Keys] = {}

    def ask(self, keys: Iterable[CredentialKey]) -> None:
        """Follow `keys`, since proxies wait for them, until nothing refers to them any more."""
        self._asked = self._asked.union(keys)
        self._add_up()

    def want(self, who: str, keys: Iterable[CredentialKey]) -> None:
        """Follow `keys`, and no longer what the same `who` wanted before."""
        self._wanted[who] = frozenset(keys)
        self._add_up()

    def keep(self, used: frozenset[str]) -> None:
        """Let go of what was asked for and has none of the names that are `used`."""
        self._asked = frozenset(key for key in self._asked if not used.isdisjoint(names_of(key.ref)))
        self._add_up()

    def _add_up(self) -> None:
        self.current.set(self._asked.union(*self._wanted.values()))
