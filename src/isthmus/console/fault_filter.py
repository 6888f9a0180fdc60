"""Which faults are shown, and whether there are such that a check of a change must fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from isthmus.console.fault import Fault

LEVELS = ("info", "warning", "error")
"""How much faults matter, the least first."""

FOUND = 79
"""With which a command ends that found what it was to look for; trouble of its own is 1, as everywhere."""


class Suppression(NamedTuple):
    """Objects of which nobody wants to hear a code: patterns with stars."""

    code: str
    object: str


def suppression(text: str) -> Suppression:
    """What `CODE=OBJECT` says: `IST0103=Pod shop/cart-*`. Raises `ValueError` where it says nothing."""
    code, equals, pattern = text.partition("=")
    if not equals or not code or not pattern:
        raise ValueError(f"{text!r} suppresses nothing (hint: CODE=OBJECT, as in 'IST0103=Pod shop/cart-*')")
    return Suppression(code, pattern)


def shown(
    faults: Iterable[Fault],
    namespace: str = "",
    suppressed: Sequence[Suppression] = (),
    level: str = LEVELS[0],
) -> Iterator[Fault]:
    """The faults of a namespace (empty: all), but those that are suppressed or matter less than `level`."""
    for each in faults:
        if namespace and _namespace(each) != namespace:
            continue
        if matters(each, level) and not any(_is_meant(one, each) for one in suppressed):
            yield each


def matters(fault: Fault, level: str) -> bool:
    """Whether a fault matters as much as `level`, or more."""
    return LEVELS.index(fault.severity) >= LEVELS.index(level)


def _namespace(fault: Fault) -> str:
    kind, _, place = fault.object.partition(" ")
    namespace, slash, _ = place.partition("/")
    return namespace if slash or kind == "Namespace" else ""


def _is_meant(suppressed: Suppression, fault: Fault) -> bool:
    """Objects are written as we show them, `Pod shop/cart`, or as Istio does: `Pod cart.shop`."""
    kind, _, place = fault.object.partition(" ")
    namespace, slash, name = place.partition("/")
    forms = (fault.object, f"{kind} {name}.{namespace}" if slash else fault.object)
    return fnmatchcase(fault.code, suppressed.code) and any(
        fnmatchcase(form, suppressed.object) for form in forms
    )
