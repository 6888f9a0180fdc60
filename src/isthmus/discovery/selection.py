"""Which objects of a kind the mesh reads, where it does not read all: Pilot, and commands that look for themselves."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.kube.client import Scope

FOLLOWS = "isthmus.io/follows"
"""Label of Services whose endpoints Pilot writes itself: names of the control plane, not services."""

SELECTION: Mapping[str, Scope] = {
    "Service": Scope(labels=f"!{FOLLOWS}"),
    "EndpointSlice": Scope(labels=f"!{FOLLOWS}"),
    "Pod": Scope(fields="status.phase!=Failed,status.phase!=Succeeded"),
}
"""By the names of kinds."""
