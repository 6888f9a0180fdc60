"""What can be installed, by name."""

from __future__ import annotations

# The files of each role, in the order in which they are applied.
ROLES: dict[str, tuple[str, ...]] = {
    "primary": ("namespace", "mesh", "reader", "citadel", "pilot"),
    "remote": ("namespace", "mesh", "reader", "citadel", "remote"),
    "gateway": ("secret-reader", "gateway"),
    "egress-gateway": ("secret-reader", "egress-gateway"),
    "secret-reader": ("secret-reader",),
    "remote-secrets": ("remote-secrets",),
    "gateway-api": (),
    "eastwest": ("eastwest",),
    "networks": ("networks",),
}
