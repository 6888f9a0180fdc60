"""What the API is asked: which object, who writes and how, how it is to go; and what a list answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.users import MASTERS, User

Json = dict[str, Any]
SYSTEM = User("system:apiserver", groups=(MASTERS,))


def nobody_hears(_: str) -> None:
    """Warnings to those who asked for none."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which object, or which part of it."""

    each: ResourceType
    namespace: str
    name: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes and how."""

    user: User = SYSTEM
    manager: str = "isthmus-lab"
    force: bool = False
    dry_run: bool = False
    strict: bool = False  # unknown fields are refused rather than dropped
    warn: Callable[[str], None] = nobody_hears  # told of every field that is dropped


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object is to go."""

    grace_s: int | None = None
    propagation: str = "Background"
    uid: str = ""
    version: str = ""


class Listing(NamedTuple):
    """Some objects and the version of the whole; `more` is where the rest begins."""

    items: list[Json]
    version: str
    more: str = ""
    remaining: int = 0
