"""The programs of the mesh: by which labels their pods are found, at which ports they are asked."""

from __future__ import annotations

MONITORING_PORT, CITADEL_PORT = 15014, 15016
"""Where Pilot and Citadel are asked for their pages."""
ADMIN_PORT = 15000
"""Of Envoys, on loopback."""
PILOT, CITADEL, INJECTOR = "istio=pilot", "isthmus.io/citadel=true", "istio=sidecar-injector"
"""By which labels their pods are found: one pod may be all of them."""
