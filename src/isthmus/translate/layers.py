"""What is made of each service that proxies see: where views say the same of one, it is made once for them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from isthmus.kit.memo import Memo
from isthmus.model.names import ServiceKey
from isthmus.model.scope import View
from isthmus.model.seen import Row
from isthmus.model.service import Service

V = TypeVar("V")
Make = Callable[[View, Service, int], V]
"""Makes a value of a service that a view sees, and a port of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Layered(Generic[V]):
    """Values in the order of a row: those that views have in common, and over some of them those of one view."""

    common: tuple[V, ...]
    own: Mapping[int, V]

    def __iter__(self) -> Iterator[V]:
        if not self.own:
            return iter(self.common)
        found = list(self.common)
        for place, value in self.own.items():
            found[place] = value
        return iter(found)

    @property
    def inputs(self) -> tuple[object, ...]:
        """By which, with the places of what is a view's own, it is known again."""
        return (self.common, *self.own.values())

    def over(self, own: Mapping[int, V]) -> Layered[V]:
        """With other values at some places."""
        return Layered(self.common, {**self.own, **own}) if own else self


class Layers(Generic[V]):
    """Makes values, and remembers them: those of services by what is made of them, those of views as a whole.

    What is made of a service follows from the view, the service's backing and what `beside` says. Of services of which
    rules speak nothing is made under no rules: `nothing` stands there, and each view has its own.
    """

    def __init__(self, nothing: V, beside: Callable[[View], tuple[object, ...]]) -> None:
        self._nothing, self._beside = nothing, beside
        self._one: Memo[V] = Memo()
        self._common: Memo[tuple[V, ...]] = Memo()
        self._layered: Memo[Layered[V]] = Memo()
        self.memos = (self._one,)
        self.of_views = (self._common, self._layered)

    def of(self, view: View, row: Row, name: Hashable, make: Make[V]) -> Layered[V]:
        """What `make` makes of each service and port of a row that the view sees; `name` tells what that is."""

        def layered() -> Layered[V]:
            plain, ruled = view.plain, view.spoken_of
            common = self._common.get(
                (plain, row), (name, ruled), lambda: tuple(self._plain(plain, row, ruled, (name, make)))
            )
            places = (place for key in view.apart for place in row.places.get(key, ()))
            own = ((place, make(view, *row.each[place])) for place in places)
            return Layered(common, {place: value for place, value in own if value != common[place]})

        return self._layered.get((view, row), name, layered)

    def _plain(
        self, view: View, row: Row, ruled: frozenset[ServiceKey], what: tuple[Hashable, Make[V]]
    ) -> Iterator[V]:
        (name, make), beside, one = what, self._beside(view), self._one
        for service, port in row.each:
            if service.key in ruled:
                yield self._nothing
                continue
            inputs = (service, view.backing(service.key), *beside)
            yield one.get(inputs, (name, port, view.caller), partial(make, view, service, port))
