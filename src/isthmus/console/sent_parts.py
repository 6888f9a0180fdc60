"""What a proxy is sent, by its parts."""

from __future__ import annotations

ENVOYS = ("upstreams", "endpoints", "listeners", "routes", "extensions")
"""The parts that Envoy itself is sent."""
