"""Write the Helm chart into a folder, `dist/chart/isthmus` without a word."""

from __future__ import annotations

import sys
from pathlib import Path

from isthmus.console.chart.made import files

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """0 when it is written."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "chart" / "isthmus"
    for name, text in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
