"""To whom configuration and services are shown: `exportTo`."""

from __future__ import annotations

from collections.abc import Collection

EVERYWHERE, HERE, NOWHERE = "*", ".", "~"
"""All namespaces, the object's own, none. Source: Istio's VirtualService reference, `exportTo`."""


def is_visible(export_to: Collection[str], namespace: str, to: str) -> bool:
    """Whether what an object of `namespace` says holds for clients in the namespace `to`."""
    if not export_to or EVERYWHERE in export_to:
        return True
    return to in export_to or (HERE in export_to and to == namespace)
