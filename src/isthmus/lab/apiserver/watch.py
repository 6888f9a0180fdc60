"""Watches: what happens to a collection from a version on, as the selector lets it be seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.selectors import Test, everything
from isthmus.lab.apiserver.storage import Entry, Store
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]
INITIAL_END = "k8s.io/initial-events-end"
_AT_A_TIME = 64  # writes that are held for a watcher while it is told of them


class Event(NamedTuple):
    """One thing that happened: ADDED, MODIFIED, DELETED, BOOKMARK."""

    kind: str
    object: Json


@dataclass(frozen=True, slots=True)
class Following:
    """What is watched, from where, and which extra events are wanted."""

    each: ResourceType
    namespace: str = ""
    test: Test = everything
    since: str = ""  # a version; empty or 0: begin with what is there now
    bookmark_s: float | None = None  # seconds without an event after which a bookmark comes
    initial: bool = (
        False  # begin with all that is there, ended by an annotated bookmark where bookmarks are wanted
    )


async def watch(store: Store, following: Following) -> AsyncGenerator[Event, None]:
    """The events, for ever. Raises `Expired` where history is too short. Holds a position and a few writes."""
    each = following.each
    if following.initial or following.since in {"", "0"}:
        position = store.version
        for obj in store.list(each, following.namespace):
            if following.test(obj):
                yield Event("ADDED", obj)
        if following.initial and following.bookmark_s is not None:
            yield _bookmark(each, position, ended=True)
    else:
        position = _number(following.since)
    loop = asyncio.get_running_loop()
    told, goes_on = loop.time(), False
    while True:
        seen = store.version
        entries = list(islice(store.since((each.group, each.plural), position, goes_on=goes_on), _AT_A_TIME))
        goes_on = True
        for entry in entries:
            event = _seen(entry, following)
            if event is not None:
                yield event
                told = loop.time()
        position = entries[-1].version if len(entries) == _AT_A_TIME else max(position, seen)
        if store.version > position:
            continue
        try:
            async with asyncio.timeout_at(told + following.bookmark_s if following.bookmark_s else None):
                await store.written()
        except TimeoutError:
            yield _bookmark(each, position)
            told = loop.time()


def _seen(entry: Entry, following: Following) -> Event | None:
    """How the write looks through the namespace and the selector."""
    place = entry.last["metadata"].get("namespace", "")
    if following.namespace and place != following.namespace:
        return None
    was = entry.before is not None and following.test(entry.before)
    now = entry.after is not None and following.test(entry.after)
    if now:
        return Event("MODIFIED" if was else "ADDED", entry.last)
    if not was or entry.before is None:
        return None
    # Who follows a selector sees the object as it was when it last matched, at the version of its going.
    version = entry.last["metadata"]["resourceVersion"]
    last = {**entry.before, "metadata": {**entry.before["metadata"], "resourceVersion": version}}
    return Event("DELETED", last)


def _bookmark(each: ResourceType, version: int, *, ended: bool = False) -> Event:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if ended:
        metadata["annotations"] = {INITIAL_END: "true"}
    return Event("BOOKMARK", {"kind": each.kind, "apiVersion": each.api_version, "metadata": metadata})


def _number(version: str) -> int:
    if not version.isdigit():
        raise bad_request(f"invalid resource version {version!r}")
    return int(version)
