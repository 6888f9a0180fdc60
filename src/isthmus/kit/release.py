"""Which release of Isthmus this is."""

from __future__ import annotations

from importlib.metadata import version

RELEASE = version("isthmus")
"""As it was packaged: `0.1.0`."""
