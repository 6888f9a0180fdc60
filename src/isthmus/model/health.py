"""Whether a workload outside Kubernetes is well: how its agent is to find out, and how it says so.

What is said has Istio's name: a request of that type over ADS, which carries an error where the workload is not well.
"""

from __future__ import annotations

import msgspec

from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.kit.unreadable import UNREADABLE

PROBE_TYPE = "type.googleapis.com/isthmus.health.v1.Probe"
HEALTH_TYPE = "type.googleapis.com/istio.v1.HealthInformation"
NAME = "probe"
"""The name of the one probe that an agent is told."""


def written(probe: ReadinessProbe | None) -> bytes:
    """How an agent is to probe; None: not at all."""
    return msgspec.json.encode(probe)


def decode(body: bytes) -> ReadinessProbe | None:
    """What was written. Raises `ValueError` where it is no probe."""
    try:
        return msgspec.json.decode(body, type=ReadinessProbe | None)
    except UNREADABLE as error:
        raise ValueError(f"not a probe: {error}") from error
