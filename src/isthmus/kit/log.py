"""Logs: a constant event name, then fields. Set up once by the program, used by everyone."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Redacted(str):
    """Text that must not be printed: its `repr` and its form in logs is `<redacted>`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


def set_up_logs(level: str = "info", *, as_json: bool = True, to: TextIO | None = None) -> None:
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
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
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
