"""All checks, in the order in which they are told: what others need comes first."""

from __future__ import annotations

from isthmus.console.check import (
    api_server,
    capacity,
    control_plane,
    definitions,
    names,
    network,
    nodes,
    proxies,
    registry,
    trust,
    webhooks,
)
from isthmus.console.check.verdict import Check

GROUPS = (
    api_server,
    definitions,
    webhooks,
    nodes,
    capacity,
    names,
    network,
    trust,
    control_plane,
    registry,
    proxies,
)
CHECKS: tuple[Check, ...] = tuple(check for group in GROUPS for check in group.CHECKS)
