"""`make bench`: all benchmarks, one after the other; what they print becomes benchmarks/BASELINE.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BENCHMARKS = (
    ("The demo, until red stars", "benchmarks.demo_time"),
    ("Names that agents answer", "benchmarks.dns"),
    ("Datagrams", "benchmarks.datagrams"),
    ("An endpoint changes, through the whole mesh", "benchmarks.endpoint_latency"),
    ("A push to 500 proxies, real translation", "benchmarks.push --translated"),
    ("A push to 500 proxies, synthetic resources", "benchmarks.push"),
    ("Translation", "benchmarks.translate"),
    ("One change of each kind", "benchmarks.changes"),
    ("Memory", "benchmarks.memory"),
    ("Decoding and indexing", "benchmarks.model"),
    ("Analysis", "benchmarks.analysis"),
    ("A route among many", "benchmarks.routes"),
    ("Commands over files", "benchmarks.files"),
    ("From the first request to the mesh", "benchmarks.start_up"),
)


def machine() -> str:
    """What this was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, kernel {platform.release()}, Python {python}"
    )


def main() -> None:
    """Run all, and write what they say."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    today = datetime.datetime.now(datetime.UTC).date()
    parts = [
        "# Baseline\n",
        f"Measured on {today} at commit {commit.stdout.strip()}: {machine()}.",
        "All of it: `make bench`. Each by itself: the command under its heading, in the virtual environment.\n",
    ]
    for title, words in BENCHMARKS:
        print(f"# {title}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", *words.split()], capture_output=True, text=True, cwd=ROOT, check=False
        )
        if done.returncode:
            sys.exit(f"{words} failed, and nothing was written:\n{done.stderr[-2000:]}")
        said = done.stdout.strip()
        print(said, flush=True)
        parts.append(f"## {title}\n\n`python -m {words}`\n\n```text\n{said}\n```\n")
    (ROOT / "benchmarks" / "BASELINE.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
