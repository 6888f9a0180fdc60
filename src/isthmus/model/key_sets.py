"""The keys of issuers, as far as they are fetched: the last good ones of each source."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.resource import Ref
from isthmus.model import maps
from isthmus.model.change import Change
from isthmus.model.findings import Finding
from isthmus.model.key_source import KINDS, FetchedKeys, IssuerKeys, KeySource, keys_at, source_named


class KeySets:
    """Takes changes of sources; what goes wrong at one never takes good keys away."""

    def __init__(self) -> None:
        self.found: Mapping[KeySource, IssuerKeys] = {}

    @staticmethod
    def are_meant(ref: Ref) -> bool:
        """Whether `ref` is a source of keys."""
        return ref.kind in KINDS

    def take(self, change: Change) -> None:
        """Take up what is known of a source now."""
        source = source_named(change.key.ref)
        before = self.found.get(source)
        held = before.keys if before is not None else None
        made: IssuerKeys | None = None
        match change.value:
            case FetchedKeys(keys=keys, trouble=trouble, since=since):
                made = IssuerKeys(keys=maps.same(held, keys), trouble=trouble, since=since)
            case Finding(message=why):
                made = IssuerKeys(keys=held, trouble=why)
        kept = maps.same(before, made) if made is not None else None
        self.found = maps.updated(self.found, {source: kept})


def other_keys(
    before: Mapping[KeySource, IssuerKeys], after: Mapping[KeySource, IssuerKeys]
) -> frozenset[KeySource]:
    """The sources whose keys differ: what troubles one is nothing to proxies."""
    moved = maps.all_differing(before, after)
    return frozenset(one for one in moved if keys_at(one, before) is not keys_at(one, after))
