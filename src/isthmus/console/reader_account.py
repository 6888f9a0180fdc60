"""By which account Pilots read clusters."""

from __future__ import annotations

READER = "istio-reader-service-account"
USUAL_LIFE_S = 86_400.0
"""Of its tokens."""
