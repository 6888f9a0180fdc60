"""Writes `docs/reference`: a page for each kind, made from the types that decode it, and one for all findings."""

from __future__ import annotations

import sys
from pathlib import Path

from isthmus.console import reference

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """0 when the pages are written."""
    reference.write(ROOT / "docs" / "reference", ROOT / "tests" / "golden")
    return 0


if __name__ == "__main__":
    sys.exit(main())
