"""Who is believed no more: ConfigMap `isthmus-denied` beside Citadel, from `isthmus ca deny`.

That is an identity, whatever proves it; or one certificate, until it ends: what was issued to the same workload before
and after is good. Proxies refuse both by an AuthorizationPolicy, which is written with the list (ADR 0036).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.ca.authority import Issued
from isthmus.ca.issuers import Issuer, IssuerRefused, Order
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import ca as log
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.identity import SpiffeId

CONFIG_MAP = "isthmus-denied"
KEY = "denied"
_SERIAL, _DIGEST = re.compile(r"[0-9a-f]{1,40}"), re.compile(r"[0-9a-f]{64}")


class Denial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is denied, since when (seconds of the epoch), by whom, and why.

    Without a `serial` the identity is, for good; with one that certificate alone, which is of the identity.
    """

    identity: str
    since: float
    reason: str = ""
    by: str = ""
    serial: str = ""
    """In hexadecimal, as logs have it."""
    sha256: str = ""
    """Of the certificate: what Envoy knows it by."""
    until: float = 0.0
    """When the certificate ends, and the denial with it."""

    @property
    def name(self) -> str:
        """What is denied, as it is said to `isthmus ca allow`."""
        return self.serial or self.identity

    def stands(self, now: float) -> bool:
        """Whether it says anything still."""
        return not self.serial or self.until > now

    @property
    def why(self) -> str:
        """What somebody is told who is refused by it."""
        what = f"certificate {self.serial} of {self.identity}" if self.serial else self.identity
        hint = "a new pod gets another one" if self.serial else f"isthmus ca allow {self.name}"
        return f"{what} is denied{f': {self.reason}' if self.reason else ''} (hint: {hint})"


def read(text: str) -> tuple[Denial, ...]:
    """The denials in `text`. Raises `ValueError` where one is none."""
    try:
        found = msgspec.json.decode(text or "[]", type=tuple[Denial, ...])
    except UNREADABLE as error:
        raise ValueError(f"not a list of denied identities: {error}") from error
    for each in found:
        SpiffeId.parse(each.identity)
        if each.serial and not (_SERIAL.fullmatch(each.serial) and _DIGEST.fullmatch(each.sha256)):
            raise ValueError(f"not a certificate: serial {each.serial!r}, SHA-256 {each.sha256!r}")
    return found


def written(denials: Iterable[Denial]) -> str:
    """The list as it is kept."""
    return msgspec.json.format(msgspec.json.encode(tuple(denials)), indent=2).decode()


class DenyList:
    """Who is denied now. Of a list that cannot be read the last good one holds; one that is deleted denies nobody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._denied: Mapping[str, Denial] = {}

    def why(self, identity: SpiffeId | str, serial: str = "") -> str:
        """Why `identity` gets nothing, or nothing by the certificate of this number; empty: neither is denied."""
        for name in (str(identity), serial):
            found = self._denied.get(name) if name else None
            if found is not None and found.stands(self._clock.now()):
                return found.why
        return ""

    def why_any(self, identities: Iterable[str], serial: str) -> str:
        """Why somebody is refused who shows a certificate of all of these; empty: nothing of it is denied."""
        if not self._denied:
            return ""
        return next((why for each in identities if (why := self.why(each, serial))), "")

    def seen(self, _: Ref, now: Object | InvalidConfig | None) -> None:
        """The ConfigMap came, changed or went (an informer's handler)."""
        if isinstance(now, InvalidConfig):
            return
        try:
            denials = read(now.data.get(KEY, "")) if isinstance(now, ConfigMap) else ()
        except ValueError as error:
            log.error("list of the denied not read, the last good one holds", reason=str(error))
            return
        self._denied = {each.name: each for each in denials}
        log.info("denied", count=len(self._denied))


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
