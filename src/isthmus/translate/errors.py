"""What of configuration cannot be said in Envoy's words, and where it is written.

ValueError
└── Unsayable    with the path of the field, from the object's spec on
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Unsayable(ValueError):
    """A field that Envoy would refuse: `path` is like `http[0].match[1]`, `reason` says what is wrong."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


@contextmanager
def at(path: str) -> Iterator[None]:
    """What is raised inside as a `ValueError` is raised as being wrong at `path`, or below it."""
    try:
        yield
    except Unsayable as error:
        joint = "" if error.path.startswith("[") else "."
        raise Unsayable(f"{path}{joint}{error.path}", error.reason) from error
    except ValueError as error:
        raise Unsayable(path, str(error)) from error


def path_of(error: ValueError) -> str:
    """The path that a finding about `error` names: `$` for the object as a whole."""
    return f"$.spec.{error.path}" if isinstance(error, Unsayable) else "$"


def reason_of(error: ValueError) -> str:
    """What is wrong, without the path."""
    return error.reason if isinstance(error, Unsayable) else str(error)
