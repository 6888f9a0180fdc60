"""`make bench`: all benchmarks, one after the other; what they print becomes benchmarks/BASELINE.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

LONGEST_S = 420
ROOT = Path(__file__).parent.parent
BENCHMARKS = (
    ("The demo, until red stars", "benchmarks.demo_time"),
    ("Names that agents answer", "benchmarks.dns"),
    ("Datagrams", "benchmarks.datagrams"),
    ("An endpoint changes, through the whole mesh", "benchmarks.endpoint_latency"),
    ("A push to 500 proxies, real translation", "benchmarks.push --translated"),
    ("A push to 500 proxies, synthetic resources", "benchmarks.push"),
    ("A push to 500 proxies, by our own HTTP/2", "benchmarks.push --wire h2"),
    ("What the wire alone costs", "benchmarks.push_wire"),
    ("Translation", "benchmarks.translate"),
    ("One change of each kind", "benchmarks.changes"),
    ("Memory", "benchmarks.memory"),
    ("Decoding and indexing", "benchmarks.model"),
    ("Analysis", "benchmarks.analysis"),
    ("A route among many", "benchmarks.routes"),
    ("What policies cost a request", "benchmarks.policy_cost"),
    ("Commands over files", "benchmarks.files"),
    ("Certificates, and a thousand proxies that renew at once", "benchmarks.certificates"),
    ("Workloads that register themselves", "benchmarks.registering"),
    ("From the first request to the mesh", "benchmarks.start_up"),
    ("Two clusters of 10,000 pods", "benchmarks.two_clusters"),
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


def shown(said: str) -> str:
    """What a benchmark printed, in Markdown: tables as they are, all else as text."""
    parts = (
        (is_table, "\n".join(lines).strip("\n"))
        for is_table, lines in groupby(said.splitlines(), lambda line: line.startswith("|"))
    )
    return "\n\n".join(text if is_table else f"```text\n{text}\n```" for is_table, text in parts if text)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What came of a command; that it hangs is a failure, too."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"is not done after {LONGEST_S} s")


def head() -> str:
    """What was measured, on what, and how busy it was."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()
    today, load = datetime.datetime.now(datetime.UTC).date(), os.getloadavg()[0]
    return (
        f"# Baseline\n\nMeasured on {today} at commit {commit}: {machine()}, load {load:.1f} before.\n"
        "All of it: `make bench`. Each by itself: the command under its heading, in the virtual environment.\n"
    )


def main() -> None:
    """Run all, and write what they say; what fails is named, and left out."""
    parts, failed, began = [head()], [], time.monotonic()
    for title, words in BENCHMARKS:
        print(f"# {title}", flush=True)
        begin = time.monotonic()
        done = run([sys.executable, "-m", *words.split()])
        took_s = time.monotonic() - begin
        print(done.stdout.strip(), f"({took_s:.0f} s)", sep="\n", flush=True)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            failed.append(words)
            continue
        parts.append(f"## {title}\n\n`python -m {words}` ({took_s:.0f} s)\n\n{shown(done.stdout.strip())}\n")
    parts.append(f"All of it took {(time.monotonic() - began) / 60:.1f} minutes.\n")
    (ROOT / "benchmarks" / "BASELINE.md").write_text("\n".join(parts))
    if failed:
        sys.exit(f"left out, since they failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
