"""Logs: a constant event name, then fields, said in a scope. Set up once by the program, used by everyone.

How much each scope says can be changed while the program runs (`kit/log_levels.py`).
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "none": 100}
"""How much is said, from most to nothing."""
_written: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Redacted(str):
    """Text that must not be printed: its `repr` and its form in logs is `<redacted>`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


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
            _written.debug(event, scope=self.name, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Say what has happened."""
        if self._least <= logging.INFO:
            _written.info(event, scope=self.name, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Say what somebody should look at."""
        if self._least <= logging.WARNING:
            _written.warning(event, scope=self.name, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Say what does not work; `exc_info` is the exception whose trace belongs to it."""
        if self._least <= logging.ERROR:
            _written.error(event, scope=self.name, **fields)


log: Final = Scope("default", "the program: its start and end, its settings, jobs that fail")
"""What belongs to no scope of `kit/scopes.py`."""


def send_logs(*, as_json: bool = True, to: TextIO | None = None) -> None:
    """Send all logs of this process to `to` (standard error): JSON lines, or text for people."""
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([structlog.processors.format_exc_info] if as_json else []),
            _redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(file=to or sys.stderr),
        cache_logger_on_first_use=True,
    )


def _redact(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: _shown(value) for key, value in event.items()}


def _shown(value: Any) -> Any:
    match value:
        case Redacted():
            return "<redacted>"
        case dict():
            return {_shown(key): _shown(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(each) for each in value]
    return value
