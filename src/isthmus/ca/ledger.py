"""The ledger: to whom this Citadel gave its newest certificate, and who failed to get one.

Of this process alone, and bounded: the log has every line for ever, this is what can be asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from isthmus.ca.authority import Issued
from isthmus.kit.clock import Clock
from isthmus.model.holdings import Earlier, Issuance, Refusal

_MOST = 20_000
_EARLIER = 4
"""Renewed at half of their lives, two are good at a time; a pod that begins anew may have more."""
_REASON = 300
"""Characters kept of a reason: a part of it is the caller's own words."""

_Who = tuple[str, str]
"""Identity and address."""
_Entry = TypeVar("_Entry", Issuance, Refusal)


class Ledger:
    """The newest issuance or refusal of each identity at each address; the oldest go first."""

    def __init__(self, clock: Clock, most: int = _MOST) -> None:
        self._clock, self._most = clock, most
        self._issued: OrderedDict[_Who, Issuance] = OrderedDict()
        self._refused: OrderedDict[_Who, Refusal] = OrderedDict()
        self.since = clock.now()

    def issued_to(self, identity: str, address: str, issued: Issued) -> None:
        """Somebody got a certificate: what was refused to it before is forgotten."""
        who = (identity, address)
        before = self._issued.get(who)
        entry = Issuance(
            identity=identity,
            address=address,
            serial=issued.serial,
            at=self._clock.now(),
            end=issued.end,
            count=before.count + 1 if before else 1,
            sha256=issued.sha256,
            earlier=self._before(before),
        )
        _put(self._issued, who, entry, self._most)
        self._refused.pop(who, None)
        self._refused.pop(("", address), None)

    def _before(self, last: Issuance | None) -> tuple[Earlier, ...]:
        """What the holder of the `last` certificate has got so far, and can use still."""
        if last is None:
            return ()
        newest = Earlier(serial=last.serial, sha256=last.sha256, end=last.end)
        now = self._clock.now()
        return tuple(each for each in (newest, *last.earlier) if each.end > now)[:_EARLIER]

    def refused_to(self, identity: str, address: str, reason: str) -> None:
        """Somebody got none; `identity` is empty where it was not proven."""
        who = (identity, address)
        before = self._refused.get(who)
        entry = Refusal(
            identity=identity,
            address=address,
            reason=reason[:_REASON],
            at=self._clock.now(),
            count=before.count + 1 if before else 1,
        )
        _put(self._refused, who, entry, self._most)

    @property
    def issued(self) -> tuple[Issuance, ...]:
        """The newest certificates that have not ended, by identity."""
        now = self._clock.now()
        return tuple(sorted((each for each in self._issued.values() if each.end > now), key=_by_name))

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Those whose last attempt failed, by identity."""
        return tuple(sorted(self._refused.values(), key=_by_name))


def _put(entries: OrderedDict[_Who, _Entry], who: _Who, entry: _Entry, most: int) -> None:
    entries[who] = entry
    entries.move_to_end(who)
    while len(entries) > most:
        entries.popitem(last=False)


def _by_name(entry: Issuance | Refusal) -> _Who:
    return entry.identity, entry.address
