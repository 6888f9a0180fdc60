"""What Pilot keeps: of services, of proxies that have been told of all of them, and of changes that have been.

    python -m benchmarks.memory [services ...]

One cluster, every service with ten endpoints. The resident memory of this process, each figure from what has come since
the one before: the mesh alone; the first proxy; 19 more, each of another namespace; 10 changes of a VirtualService,
after three with which what is kept of the last meshes has come.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from benchmarks.changes import Held, change, proxies
from benchmarks.changing import bodies
from benchmarks.push_translated import TranslatedWorld

FIRST, CHANGES = 3, 10


def resident_kb() -> float:
    """The memory of this process that is there."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def measure(services: int) -> str:
    """A row of the table."""
    found = [resident_kb()]
    world = TranslatedWorld(services)
    found.append(resident_kb())
    first, *others = proxies()
    held = [Held(world.first(), [first])]
    found.append(resident_kb())
    held.append(Held(world.first(), others))
    found.append(resident_kb())
    body = bodies()["VirtualService"]
    for number in range(FIRST + CHANGES):
        generation = world.step([change(body(number % 10))])
        for each in held:
            each.take(generation)
        if number == FIRST - 1:
            found.append(resident_kb())
    found.append(resident_kb())
    mesh, one, more, _, changes = (after - before for before, after in pairwise(found))
    return (
        f"| {services:,} | {mesh / services:.1f} | {one / services:.1f} | {more / len(others):,.0f} "
        f"| {changes / CHANGES:,.0f} | {found[-1] / 1024:,.0f} |"
    )


def main(sizes: list[int]) -> None:
    """Measure each size in a process of its own, and print."""
    if len(sizes) == 1:
        print(measure(sizes[0]), flush=True)
        return
    print(
        "| services | KB each | KB each, first proxy | KB a proxy of another namespace | KB a change | MB in all |"
    )
    print("|---:|---:|---:|---:|---:|---:|", flush=True)
    for services in sizes:
        subprocess.run([sys.executable, "-m", "benchmarks.memory", str(services)], check=True)


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [100, 1_000, 10_000])
