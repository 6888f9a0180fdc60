"""The metrics of what proxies are sent, of each type together."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from isthmus.kit.metrics import CONFIG_BYTES, PUSH_SECONDS, XDS_PUSHES


class AnswerMeters(NamedTuple):
    """What is counted of the answers of one type."""

    pushes: Counter
    seconds: Histogram
    sizes: Histogram


@cache
def answer_meters(kind: str) -> AnswerMeters:
    """Those of a type; `kind` is one of few words. To look one up in a metric costs more than to count."""
    return AnswerMeters(
        XDS_PUSHES.labels(type=kind), PUSH_SECONDS.labels(type=kind), CONFIG_BYTES.labels(type=kind)
    )
