"""The patches that hold for one class of proxies, applied to resources one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import cast

from google.protobuf.message import DecodeError, Message

from isthmus.envoy.descriptors import class_of_url
from isthmus.envoy.types import Cluster, Listener, RouteConfiguration
from isthmus.kit.versioned import Versioned
from isthmus.model.findings import Finding
from isthmus.translate import proto
from isthmus.translate.names import Direction, UpstreamName
from isthmus.translate.patch.about import About
from isthmus.translate.patch.additions import may_be_added
from isthmus.translate.patch.compiled import Patch, types_of
from isthmus.translate.patch.done import Done
from isthmus.translate.patch.listeners import patch_listener
from isthmus.translate.patch.routes import patch_routes, places_of
from isthmus.translate.patch.soundness import fault, moved
from isthmus.translate.patch.upstreams import patch_upstream
from isthmus.translate.types import EXTENSION, LISTENER, PATCHED, ROUTES, UPSTREAM

Apply = Callable[[Message, Patch, About], Done]
"""Applies a patch to a resource in place."""
WHOLE = {LISTENER: "LISTENER", UPSTREAM: "CLUSTER", EXTENSION: "EXTENSION_CONFIG"}
"""As what a resource of a type is added."""


@dataclass(slots=True)
class Outcome:
    """What has come of a patch so far."""

    is_found: bool = False  # something that it is for has been there
    wrong: dict[tuple[object, ...], Finding] = field(default_factory=dict)  # by resource and proxies


class Held:
    """Patches in the order in which they are applied. Compared by identity."""

    def __init__(self, patches: Sequence[Patch]) -> None:
        self.patches = frozenset(patches)
        self._of = {
            type_url: tuple(one for one in patches if type_url in types_of(one.apply_to))
            for type_url in PATCHED
        }
        self._by_host = _by_host(self._of[UPSTREAM])
        self.asked: set[str] = set()  # of which types resources have been patched
        self._additions = {
            type_url: frozenset(_name(one) for one in of if self._is_addition(type_url, one))
            for type_url, of in self._of.items()
        }
        self.outcomes: dict[Patch, Outcome] = {}

    def of(self, type_url: str) -> tuple[Patch, ...]:
        """The patches that are about resources of the type."""
        return self._of.get(type_url, ())

    def additions(self, type_url: str) -> frozenset[str]:
        """The names of the resources that patches add."""
        return self._additions.get(type_url, frozenset())

    def patched(self, type_url: str, one: Versioned, about: About) -> Versioned | None:
        """`one` after all patches; itself where none is for it, None where one removes it."""
        self.asked.add(type_url)
        return self._through(type_url, one, self._meant(type_url, one.name), about)

    def _meant(self, type_url: str, name: str) -> Sequence[Patch]:
        """Those that may be for a resource of that name: of a thousand for upstreams most name the service of one."""
        if type_url != UPSTREAM:
            return self.of(type_url)
        parts = UpstreamName.parse(name)
        if parts is not None and parts.direction is Direction.INBOUND:
            return self._of[UPSTREAM]
        host = parts.hostname if parts is not None else ""
        found = [*self._by_host.get("", ()), *(self._by_host.get(host, ()) if host else ())]
        return [patch for _, patch in sorted(found, key=itemgetter(0))]

    def added(self, type_url: str, about: About, there: frozenset[str]) -> tuple[Versioned, ...]:
        """What patches add to resources of these names, after the patches that come later."""
        patches, made = self.of(type_url), dict[str, Versioned]()
        for index, patch in enumerate(patches):
            if not self._is_addition(type_url, patch) or patch.value is None:
                continue
            outcome = self._outcome(patch)
            outcome.is_found = True
            name = _name(patch)
            why = may_be_added(patch.value, name, there | made.keys())
            self._note(patch, (type_url, name, "added"), why)
            if not why:
                one = Versioned.of(name, proto.body(patch.value))
                found = self._through(type_url, one, patches[index + 1 :], about)
                made |= {name: found} if found else {}
        return tuple(made.values())

    @staticmethod
    def _is_addition(type_url: str, patch: Patch) -> bool:
        return patch.operation == "ADD" and patch.apply_to == WHOLE.get(type_url)

    def _through(
        self, type_url: str, one: Versioned, patches: Sequence[Patch], about: About
    ) -> Versioned | None:
        apply = _BY_TYPE.get(type_url)
        if apply is None:
            return one
        start = class_of_url(type_url).FromString(one.body)
        walk = _Walk(one.name, start, apply(start), about)
        made = walk.together(patches) or walk.one_by_one(patches)
        for patch in patches:
            outcome = self._outcome(patch)
            outcome.is_found |= patch in made.found
            self._note(patch, (type_url, one.name, about), made.wrong.get(patch, ""))
        if made.message is None:
            return None
        return Versioned.of(one.name, proto.body(made.message)) if made.found else one

    def _outcome(self, patch: Patch) -> Outcome:
        return self.outcomes.setdefault(patch, Outcome())

    def _note(self, patch: Patch, slot: tuple[object, ...], why: str) -> None:
        wrong = self._outcome(patch).wrong
        wrong.pop(slot, None)
        if why:
            wrong[slot] = patch.finding(f"is left out of {slot[1]}: {why}")


@dataclass(slots=True)
class _Made:
    """What came of patches at one resource."""

    message: Message | None  # None: removed
    found: set[Patch] = field(default_factory=set)
    wrong: dict[Patch, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Patches over one resource."""

    name: str
    start: Message
    apply: Apply
    about: About

    def together(self, patches: Sequence[Patch]) -> _Made | None:
        """All of them; None where the outcome is not sound."""
        made = _Made(_copy(self.start))
        for patch in patches:
            why = self._step(made, patch)
            if why:
                return None
            if made.message is None:
                return made
        return None if made.found and self._fault(made.message) else made

    def one_by_one(self, patches: Sequence[Patch]) -> _Made:
        """Those of which each by itself leaves the resource sound; why not, for the others."""
        made = _Made(_copy(self.start))
        for patch in patches:
            before = made.message
            if before is None:
                break
            found, made.message = set(made.found), _copy(before)
            why = self._step(made, patch)
            if not why and made.message is not None and patch in made.found:
                why = self._fault(made.message)
            if why:
                # It was for this resource: whoever wrote it did not miss.
                made.message, made.found = before, found
                made.wrong[patch] = why
        return made

    def _step(self, made: _Made, patch: Patch) -> str:
        """Apply one patch to what has been made; why it cannot be."""
        if made.message is None:
            return ""
        try:
            outcome = self.apply(made.message, patch, self.about)
        except (ValueError, DecodeError) as error:
            return str(error)
        if outcome is not Done.NOTHING:
            made.found.add(patch)
        if outcome is Done.REMOVED:
            made.message = None
        return ""

    def _fault(self, message: Message | None) -> str:
        if message is None:
            return ""
        name = str(getattr(message, "name", ""))
        if name != self.name:
            return f"it would be renamed to {name!r} (hint: leave the name out of the value)"
        return moved(self.start, message) or fault(message, self.start)


def _name(patch: Patch) -> str:
    return str(getattr(patch.value, "name", ""))


def _copy(message: Message) -> Message:
    made = type(message)()
    made.CopyFrom(message)
    return made


def _by_host(patches: Sequence[Patch]) -> Mapping[str, list[tuple[int, Patch]]]:
    """Patches of upstreams with their places, by the host of the service that they name; without one by nothing."""
    found: dict[str, list[tuple[int, Patch]]] = defaultdict(list)
    for place, patch in enumerate(patches):
        match = patch.match.cluster
        found[match.service if match is not None and not match.name else ""].append((place, patch))
    return found


def _of_listener(_: Message) -> Apply:
    return lambda message, patch, about: patch_listener(cast(Listener, message), patch, about)


def _of_routes(start: Message) -> Apply:
    places = places_of(cast(RouteConfiguration, start))
    return lambda message, patch, about: patch_routes(cast(RouteConfiguration, message), patch, about, places)


def _of_upstream(_: Message) -> Apply:
    return lambda message, patch, about: patch_upstream(cast(Cluster, message), patch, about)


_BY_TYPE: Mapping[str, Callable[[Message], Apply]] = {
    LISTENER: _of_listener,
    ROUTES: _of_routes,
    UPSTREAM: _of_upstream,
}
