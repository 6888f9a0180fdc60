"""What is made of each service that proxies see: where views say the same of one, it is made once for them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from isthmus.kit.memo import Memo
from isthmus.model.scope import View
from isthmus.model.seen import Row
from isthmus.model.service import Service

V = TypeVar("V")


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


class Layers(Generic[V]):
    """Makes values, and remembers them: those of services by what is made of them, those of views as a whole.

    What is made of a service follows from the view, the service's backing and what `beside` says.
    """

    def __init__(self, beside: Callable[[View], tuple[object, ...]]) -> None:
        self._beside = beside
        self._one: Memo[V] = Memo()
        self._common: Memo[tuple[V, ...]] = Memo()
        self._own: Memo[Layered[V]] = Memo()
        self.memos = (self._one,)
        self.of_views = (self._common, self._own)

    def of(self, view: View, row: Row, name: Hashable, make: Callable[[View, Service, int], V]) -> Layered[V]:
        """What `make` makes of each service and port of a row that the view sees; `name` tells what that is."""

        def layered() -> Layered[V]:
            common = self._common.get(
                (view.plain, row), name, lambda: self._plain(view.plain, row, name, make)
            )
            own = {
                place: make(view, *row.each[place]) for key in view.apart for place in row.places.get(key, ())
            }
            return Layered(common, own)

        return self._own.get((view, row), name, layered)

    def _plain(
        self, view: View, row: Row, name: Hashable, make: Callable[[View, Service, int], V]
    ) -> tuple[V, ...]:
        beside, caller, one = self._beside(view), view.caller, self._one

        def of(service: Service, port: int) -> V:
            inputs = (service, view.backing(service.key), *beside)
            return one.get(inputs, (name, port, caller), lambda: make(view, service, port))

        return tuple(of(service, port) for service, port in row.each)
