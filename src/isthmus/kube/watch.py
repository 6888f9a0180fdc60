"""List, then watch, for ever: the life of one collection as a stream of what happened.

Sources: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks", "Streaming lists".
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from isthmus.api.resource import Kind
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import kube as log
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, Scope, path_of
from isthmus.kube.errors import Gone, KubeError, NotFound, Refused, Silent, refused

_INITIAL_END = "k8s.io/initial-events-end"
_NOT_UNDERSTOOD = frozenset({400, 422})
_AT_ONCE_S = 1.0


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a watch is."""

    turn_s: float = 290.0  # the API server ends a watch after this and up to half as much again
    silence_s: float = 120.0  # bookmarks come every minute, so longer silence is a dead connection
    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    streaming_lists: bool = True


class Listed(msgspec.Struct, frozen=True):
    """The whole collection: what is not in it is gone."""

    items: list[msgspec.Raw]


class Changed(msgspec.Struct, frozen=True):
    """One object came or changed."""

    item: msgspec.Raw


class Removed(msgspec.Struct, frozen=True):
    """One object went; `item` is its last state."""

    item: msgspec.Raw


class Lost(msgspec.Struct, frozen=True):
    """No connection since `since` (epoch); what was told before may be out of date until the next event."""

    error: KubeError
    since: float = 0.0


class Connected(msgspec.Struct, frozen=True):
    """The API server is there again; what happened meanwhile is still to be told."""


class Confirmed(msgspec.Struct, frozen=True):
    """The API server is there and nothing more has happened up to now."""


Event = Listed | Changed | Removed | Lost | Connected | Confirmed


class _Envelope(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _BookmarkMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _BookmarkMeta = _BookmarkMeta()


class Watch:
    """One collection of one cluster, followed until cancelled; survives everything but cancellation."""

    def __init__(
        self,
        client: Client,
        kind: Kind,
        scope: Scope | None = None,
        settings: WatchSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client, self._kind = client, kind
        self._scope = scope or Scope()
        self._settings = settings or WatchSettings()
        self._clock = clock or SystemClock()
        self._version = ""  # empty: list first
        self._streams_lists = self._settings.streaming_lists

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens to the collection, starting with `Listed`. A failure is `Lost`, then tried again."""
        backoff = Backoff(self._settings.first_wait_s, self._settings.longest_wait_s)
        lost_at: float | None = None
        is_unknown = False  # to an API server that answers
        while True:
            began, heard = self._clock.monotonic(), False
            try:
                async with aclosing(self._turn()) as turn:
                    async for event in turn:
                        lost_at = None
                        if isinstance(event, Changed | Removed | Confirmed):
                            # Not so after a list: history that expires at once must not be listed in a rush.
                            backoff.reset()
                        heard = heard or not isinstance(event, Connected)
                        yield event
                # Nor may a server that ends watches at once be asked in a tight loop.
                at_once = not heard and self._clock.monotonic() - began < _AT_ONCE_S
                await self._clock.sleep(backoff.next_s() if at_once else 0.05)
            except Gone as error:
                log.info("history expired, listing again", kind=self._kind.name, reason=str(error))
                self._version = ""
                await self._clock.sleep(backoff.next_s())
            except KubeError as error:
                was_unknown, is_unknown = is_unknown, isinstance(error, NotFound)
                if lost_at is None or (was_unknown and not is_unknown):
                    lost_at = self._clock.now()
                yield Lost(error, lost_at)
                if isinstance(error, NotFound):
                    # A cluster may serve a kind under an older version only.
                    self._kind, self._version = self._kind.in_next_version, ""
                if not self._holds(error, heard=heard):
                    self._version = ""
                await self._clock.sleep(backoff.next_s())

    @staticmethod
    def _holds(error: KubeError, *, heard: bool) -> bool:
        """Whether a watch may go on from the last version after `error`.

        An API server whose backup was put back is silent until it reaches a version that is ahead of it.
        """
        if isinstance(error, Silent):
            return heard
        return not (isinstance(error, Refused) and error.code in _NOT_UNDERSTOOD)

    async def _turn(self) -> AsyncGenerator[Event, None]:
        if not self._version and self._streams_lists:
            try:
                async with aclosing(self._watch(initial=True)) as events:
                    async for event in events:
                        yield event
            except Refused as error:
                if error.code not in _NOT_UNDERSTOOD or self._version:
                    raise
                self._streams_lists = False  # an older API server: it does not know sendInitialEvents
            else:
                return
        if not self._version:
            listing = await self._client.list_all(self._kind, self._scope)
            yield Listed(listing.items)
            self._version = listing.resource_version
        async with aclosing(self._watch(initial=False)) as events:
            async for event in events:
                yield event

    async def _watch(self, *, initial: bool) -> AsyncGenerator[Event, None]:
        pending: list[msgspec.Raw] | None = [] if initial else None
        path = path_of(self._kind, self._scope.namespace)
        async with aclosing(
            self._client.stream(path, self._query(initial=initial), self._settings.silence_s)
        ) as lines:
            async for line in lines:
                if not line:
                    if pending is None:
                        yield Connected()
                    continue
                envelope, bookmark = _read(line)
                if envelope.type == "ERROR":
                    raise refused(0, bytes(envelope.object))
                if envelope.type == "BOOKMARK":
                    ends_list = pending is not None and _INITIAL_END in bookmark.annotations
                    if pending is not None and ends_list:
                        yield Listed(pending)
                        pending = None
                    else:
                        yield Confirmed()
                elif pending is not None:
                    pending.append(msgspec.Raw(bytes(envelope.object)))
                    continue  # the version holds only once the list is whole
                else:
                    item = msgspec.Raw(bytes(envelope.object))
                    yield Removed(item) if envelope.type == "DELETED" else Changed(item)
                if pending is None:
                    self._advance(bookmark.resource_version, is_word=envelope.type == "BOOKMARK")

    def _advance(self, version: str, *, is_word: bool) -> None:
        """Remember `version`. Raises `Gone` where the API server's own word of it goes back."""
        before = self._version
        if is_word and before.isdecimal() and version.isdecimal() and int(version) < int(before):
            raise Gone(410, "Expired", f"resource version went back from {before} to {version}")
        self._version = version or before

    def _query(self, *, initial: bool) -> dict[str, str]:
        turn_s = self._settings.turn_s * random.uniform(1, 1.5)  # noqa: S311 - jitter, no secret
        query = self._scope.query() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": f"{turn_s:.0f}",
        }
        if initial:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            query["resourceVersion"] = self._version
        return query


def _read(line: bytes) -> tuple[_Envelope, _BookmarkMeta]:
    """The event in a line, and what its object says of versions. Raises `KubeError`: the stream is none."""
    try:
        envelope = msgspec.json.decode(line, type=_Envelope)
        meta = msgspec.json.decode(envelope.object, type=_Bookmark).metadata
    except UNREADABLE as error:
        raise KubeError(f"the answer is no stream of events: {error} (hint: a proxy?)") from error
    return envelope, meta
