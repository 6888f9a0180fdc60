"""Moments as people and Kubernetes write them."""

from __future__ import annotations

from datetime import UTC, datetime


def show(seconds: float) -> str:
    """A moment, in seconds of the epoch, to the second: `2026-11-30T08:05:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
