"""What the xDS server asks of translation: two methods, types known by URL only."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar

from isthmus.kit.versioned import Versioned

S = TypeVar("S", bound=Hashable, contravariant=True)

EVERYTHING = None
"""In place of a set of names: any name may differ."""


class Generation(Protocol[S]):
    """One state of the world, ready to be asked for resources. `S` is whom it is asked for: a proxy."""

    @property
    def number(self) -> int:
        """Grows with each generation."""
        ...

    def touched(self, subject: S, type_url: str, /) -> frozenset[str] | None:
        """Names of this type that may differ for `subject` from the generation published before this one.

        `EVERYTHING` (None) where that cannot be told cheaply; the empty set where nothing can differ.
        It may name too much and names nobody has; never too little. Must be cheap: it is asked for
        every session and type.
        """
        ...

    def resources(self, subject: S, type_url: str, names: frozenset[str] | None, /) -> Iterable[Versioned]:
        """The resources of a type for `subject`: all of them (None), or those of `names` that exist.

        Equal resources of different subjects are the same object where that can be had: what is built of
        the same objects is then serialised once for all of them. The body of each is the serialised
        message of the type, not packed into an `Any`. Endpoints have the name of their upstream: they
        are sent again after it, since Envoy waits for them.
        """
        ...

    def unsettled(self, subject: S, type_url: str, names: frozenset[str], /) -> frozenset[str]:
        """Those of `names` of which nobody knows yet whether they exist: nothing is said of them for now.

        When it is known, `touched` names them.
        """
        ...
