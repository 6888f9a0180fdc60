"""What goes to Envoy is checked against Envoy's own rules; what breaks them is withheld and said.

Envoy refuses a whole answer for one bad resource. So a bad one is not sent: the last good one of the same
slot stays in its place, and a finding says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from isthmus.api import kind_named
from isthmus.api.resource import Ref
from isthmus.envoy.rules import violations
from isthmus.kit.metrics import XDS_WITHHELD, counted
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import Mesh
from isthmus.model.names import ServiceKey
from isthmus.translate.errors import path_of, reason_of

V = TypeVar("V")
M = TypeVar("M", bound=Message)
_ROOM = 4096


class Slot(NamedTuple):
    """A place that one resource fills for a class of proxies."""

    type_url: str
    name: str
    owner: ServiceKey | None  # the slot is forgotten with this service
    scope: tuple[object, ...] = ()


class _Good(NamedTuple, Generic[V]):
    value: V | None  # None: it went with its object, and what is sent since is not known here
    about: Ref  # the object that it was made of


class Checked(Generic[V]):
    """The last good value of each slot, and what was wrong with those that came after it."""

    def __init__(self) -> None:
        self._good: dict[Slot, _Good[V]] = {}
        self._wrong: dict[Slot, Finding] = {}
        self._swept_at = 0

    def keep(
        self,
        slot: Slot,
        about: Ref,
        make: Callable[[], M],
        seal: Callable[[M], V],
        doubt: ValueError | None = None,
    ) -> V | None:
        """What is made now, sealed, if Envoy would take it; otherwise the last good one of the slot.

        `make` may raise `ValueError` where configuration cannot be said in Envoy's words (`errors.at`).
        What Envoy would take and could not serve, as `doubt` says, is sent only where there was nothing better.
        """
        try:
            if doubt is not None and slot in self._good:
                raise doubt
            message = make()
            broken = violations(message)
        except ValueError as error:
            why = f"not sent to proxies: {reason_of(error)}"
            return self._withhold(
                slot, Finding(ref=about, path=path_of(error), message=why, code=Code.NOT_SENT)
            )
        if broken:
            path, rule = broken[0]
            why = f"not sent to proxies: in Envoy's {slot.name}, {path} {rule}"
            return self._withhold(slot, Finding(ref=about, message=why, code=Code.NOT_SENT))
        self._wrong.pop(slot, None)
        made = seal(message)
        if doubt is None:
            self._good[slot] = _Good(made, about)
        return made

    def _withhold(self, slot: Slot, finding: Finding) -> V | None:
        XDS_WITHHELD.labels(type=counted(slot.type_url)).inc()
        self._wrong[slot] = finding
        good = self._good.get(slot)
        return good.value if good is not None else None

    def findings(self, exists: Callable[[Ref], bool]) -> Iterable[Finding]:
        """What is withheld now, each once; objects that are gone are not spoken of."""
        return dict.fromkeys(found for found in self._wrong.values() if exists(found.ref))

    def forget(self, gone: Collection[Ref]) -> None:
        """Let go of what was made of objects that are gone: it must not come back under what takes their names."""
        for slot, good in self._good.items() if gone else ():
            if good.about in gone:
                self._good[slot] = good._replace(value=None)

    def sweep(self, services: Iterable[ServiceKey]) -> None:
        """Forget slots of services that are gone, when there may be many of them."""
        if len(self._good) + len(self._wrong) < self._swept_at + _ROOM:
            return
        alive = frozenset(services)
        self._good = {
            slot: good for slot, good in self._good.items() if slot.owner in alive or not slot.owner
        }
        self._wrong = {
            slot: bad for slot, bad in self._wrong.items() if slot.owner in alive or not slot.owner
        }
        self._swept_at = len(self._good) + len(self._wrong)


def exists(mesh: Mesh, ref: Ref) -> bool:
    """Whether an object of which something was made is there still, as far as that can be told of its kind."""
    if ref.kind in {"VirtualService", "DestinationRule", "Gateway"}:
        return ref in mesh.config.get(kind_named(ref.kind).type.__name__, {})
    if ref.kind == "Service":
        return any((key.namespace, key.name) == ref[1:] for key in mesh.services)
    return True
