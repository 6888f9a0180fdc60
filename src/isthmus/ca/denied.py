"""Identities that get no certificates any more: ConfigMap `isthmus-denied` beside Citadel, from `isthmus ca deny`.

What they hold ends with its life. Until then callers refuse them by an AuthorizationPolicy, which is written with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.ca.authority import Issued
from isthmus.ca.issuers import Issuer, IssuerRefused, Order
from isthmus.kit.log import log
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.identity import SpiffeId

CONFIG_MAP = "isthmus-denied"
KEY = "denied"


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """An identity that is denied, since when (seconds of the epoch), and why."""

    identity: str
    since: float
    reason: str = ""


def read(text: str) -> tuple[Denial, ...]:
    """The denials in `text`. Raises `ValueError` where one is none."""
    try:
        found = msgspec.json.decode(text or "[]", type=tuple[Denial, ...])
    except UNREADABLE as error:
        raise ValueError(f"not a list of denied identities: {error}") from error
    for each in found:
        SpiffeId.parse(each.identity)
    return found


def written(denials: Iterable[Denial]) -> str:
    """The list as it is kept."""
    return msgspec.json.format(msgspec.json.encode(tuple(denials)), indent=2).decode()


class DenyList:
    """Who is denied now. Of a list that cannot be read the last good one holds; one that is deleted denies nobody."""

    def __init__(self) -> None:
        self._denied: Mapping[str, Denial] = {}

    def why(self, identity: SpiffeId) -> str:
        """Why `identity` gets nothing; empty: it is not denied."""
        found = self._denied.get(str(identity))
        if found is None:
            return ""
        reason = f": {found.reason}" if found.reason else ""
        return f"{identity} is denied{reason} (hint: isthmus ca allow)"

    def seen(self, _: Ref, now: Object | InvalidConfig | None) -> None:
        """The ConfigMap came, changed or went (an informer's handler)."""
        if isinstance(now, InvalidConfig):
            return
        try:
            denials = read(now.data.get(KEY, "")) if isinstance(now, ConfigMap) else ()
        except ValueError as error:
            log.error("denied identities not read, the last good list holds", reason=str(error))
            return
        self._denied = {each.identity: each for each in denials}
        log.info("denied identities", count=len(self._denied))


class Denying:
    """An issuer that signs for nobody on the list."""

    def __init__(self, issuer: Issuer, denied: DenyList) -> None:
        self._issuer, self._denied = issuer, denied

    @property
    def name(self) -> str:
        return self._issuer.name

    @property
    def roots_pem(self) -> bytes:
        return self._issuer.roots_pem

    async def issue(self, order: Order) -> Issued:
        """See `Issuer`."""
        if why := self._denied.why(order.identity):
            raise IssuerRefused(why)
        return await self._issuer.issue(order)
