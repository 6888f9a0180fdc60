"""Fuzzes with atheris: python tests/fuzz/run.py TARGET [SECONDS]; `all` is each target in turn.

What is found lies in ~/.cache/isthmus/fuzz/TARGET as `found-…`; `python tests/fuzz/run.py TARGET FILE` does it again.
Inputs that reach new code are kept there for the next run.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1])]
with atheris.instrument_imports(include=["isthmus"]):
    from fuzz.targets import ALL, TARGETS, Target
    from isthmus.kit.log_levels import set_up_logs

CHOICES = {"all": ALL, **TARGETS}
_LONGEST_BYTES = 8192


def main(name: str, rest: str = "600") -> None:
    """Fuzz for a time, or do one file again."""
    set_up_logs("none")
    warnings.simplefilter("ignore")  # of what the library will refuse one day
    target = CHOICES[name]
    if Path(rest).is_file():
        target.run(Path(rest).read_bytes())
        return
    kept = os.environ.get("ISTHMUS_FUZZ") or Path.home() / ".cache" / "isthmus" / "fuzz"
    place = Path(kept) / name
    place.mkdir(parents=True, exist_ok=True)
    _sow(target, place)
    flags = (
        f"-max_total_time={int(rest)}",
        f"-artifact_prefix={place}/found-",
        f"-max_len={_LONGEST_BYTES}",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    )
    atheris.Setup([sys.argv[0], *flags, str(place)], target.run)
    atheris.Fuzz()


def _sow(target: Target, place: Path) -> None:
    for number, seed in enumerate(target.seeds()):
        (place / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1] not in CHOICES:
        sys.exit(f"{__doc__}\ntargets: {', '.join(CHOICES)}")
    main(*sys.argv[1:3])
