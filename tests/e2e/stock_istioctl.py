"""Where the stock istioctl is, if it is here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PROGRAM = "ISTHMUS_TEST_ISTIOCTL"
"""Names the istioctl to test with; else the one that tools/istioctl has built, or the one on the path."""
WITHOUT = f"needs istioctl: {PROGRAM}, or tools/istioctl builds it"


def istioctl() -> str | None:
    """The program; None where there is none."""
    named = os.environ.get(PROGRAM)
    built = sorted((Path.home() / ".cache" / "isthmus").glob("istioctl-*/istioctl"))
    return named or (str(built[-1]) if built else shutil.which("istioctl"))
