"""The lines of logs: JSON or text for people, without secrets. Who says something needs `kit/log.py` alone."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from isthmus.kit.redacted import Redacted


def written() -> structlog.typing.FilteringBoundLogger:
    """What writes lines as `send_logs` has said last."""
    found: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return found


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
