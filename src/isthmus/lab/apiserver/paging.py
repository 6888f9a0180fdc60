"""Long lists in pages: each shows the collection as it was at the version of the first."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from isthmus.lab.apiserver.errors import ApiError, bad_request, expired
from isthmus.lab.apiserver.requests import Listing
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.shaping import in_version
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]


class Wanted(NamedTuple):
    """Which objects, and which page of them: at most `limit` (0: all), going on from `more`."""

    each: ResourceType
    namespace: str = ""
    labels: str = ""
    fields: str = ""
    limit: int = 0
    more: str = ""


class _Rest(NamedTuple):
    """What a page's `continue` says: the version of the whole, and the last object that was shown."""

    version: int
    namespace: str
    name: str


def page(store: Store, wanted: Wanted) -> Listing:
    """The page. Raises a 410 where the list's first page is too long ago, a 400 for a `more` of no list."""
    each, test = wanted.each, selector(wanted.labels, wanted.fields)
    version = store.version
    found = store.list(each, wanted.namespace)
    if wanted.more:
        rest = _rest(wanted.more)
        version = rest.version
        found = [obj for obj in _then(store, wanted, version) if _name(obj) > (rest.namespace, rest.name)]
    found = [in_version(obj, each) for obj in found if test(obj)]
    if not wanted.limit or len(found) <= wanted.limit:
        return Listing(found, str(version))
    shown = found[: wanted.limit]
    more = base64.urlsafe_b64encode(msgspec.json.encode(_Rest(version, *_name(shown[-1])))).decode()
    return Listing(shown, str(version), more.rstrip("="), len(found) - wanted.limit)


def _then(store: Store, wanted: Wanted, version: int) -> list[Json]:
    try:
        return store.list_at(wanted.each, wanted.namespace, version)
    except ApiError as error:
        words = "The provided continue parameter is too old to display a consistent list result"
        raise expired(f"{words} (hint: start a new list without the continue parameter)") from error


def _rest(more: str) -> _Rest:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(more + "=" * (-len(more) % 4)), type=_Rest)
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad_request(f"continue key is not valid: {more!r}") from error


def _name(obj: Json) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
