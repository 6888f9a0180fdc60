"""Logs: a constant event name, then fields, said in a scope. Set up once by the program, used by everyone.

How much each scope says can be changed while the program runs (`kit/log_levels.py`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "none": 100}
"""How much is said, from most to nothing."""


class Scope:
    """What is said about one thing: a logger with a level of its own."""

    def __init__(self, name: str, about: str) -> None:
        self.name, self.about = name, about
        self.level = "info"

    @property
    def level(self) -> str:
        """One of `LEVELS`."""
        return self._level

    @level.setter
    def level(self, level: str) -> None:
        self._level, self._least = level, LEVELS[level]

    def says(self, level: str) -> bool:
        """Whether a line of this level is written: for fields that cost something to make."""
        return LEVELS[level] >= self._least

    def debug(self, event: str, **fields: Any) -> None:
        """Say what only those who look for a fault want to know."""
        if self._least <= logging.DEBUG:
            _written().debug(event, scope=self.name, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Say what has happened."""
        if self._least <= logging.INFO:
            _written().info(event, scope=self.name, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Say what somebody should look at."""
        if self._least <= logging.WARNING:
            _written().warning(event, scope=self.name, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Say what does not work; `exc_info` is the exception whose trace belongs to it."""
        if self._least <= logging.ERROR:
            _written().error(event, scope=self.name, **fields)


log: Final = Scope("default", "the program: its start and end, its settings, jobs that fail")
"""What belongs to no scope of `kit/scopes.py`."""


def _written() -> FilteringBoundLogger:
    """What writes lines. Most commands write none, and structlog would cost them more than they do."""
    from isthmus.kit.log_lines import written  # noqa: PLC0415 - see above

    return written()
