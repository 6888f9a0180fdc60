"""How injection leads probes and hooks to the agent."""

from __future__ import annotations

PROBES, HOOKS = "/app-health/", "/app-lifecycle/"
"""Under which paths they are."""
PROBERS = "ISTIO_KUBE_APP_PROBERS"
"""The variable in which injection tells them to the agent."""
