"""Two clusters of 10,000 pods each, with the same 5,000 services: what they cost Pilot, and where its memory is.

    python -m benchmarks.two_clusters [pods of each]

The whole way in one process, as in `benchmarks.start_up`: two API servers that have their answers ready, HTTP, watches,
the mesh, and what a first proxy is told of everything. In a second process, of a tenth of them since counting is slow,
each allocation that stays is counted for the module that asked for it. Take single figures as ±40 %.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import PurePath

from aiohttp import web
from benchmarks.start_up import ReadyAnswers, resident_mb, world

from isthmus.discovery.cluster_watcher import ClusterWatcher, WatcherSettings
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import Access
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Translator
from isthmus.translate.types import TYPES

EAST, WEST = ClusterId("east"), ClusterId("west")
CALLER = Proxy(
    kind=ProxyKind.SIDECAR, address="10.0.0.1", name="pod-1", namespace="default", cluster=EAST, labels=()
)
_FRAMES = 8  # deep enough for a library between us and an allocation
_LEAST = 0.02
"""The share from which a module is named."""


async def served(stack: AsyncExitStack, answers: ReadyAnswers) -> str:
    """Where the answers are had until the stack ends."""
    application = web.Application()
    application.router.add_get("/{tail:.*}", answers.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def measure(pods: int, *, explained: bool) -> None:
    """Print what two clusters take and keep; `explained`: by modules, and nothing of time."""
    async with AsyncExitStack() as stack:
        urls = {each: await served(stack, ReadyAnswers(world(pods))) for each in (EAST, WEST)}
        changes: dict[ChangeKey, Change] = {}
        before_mb, began, cpu = resident_mb(), time.perf_counter(), time.process_time()
        if explained:
            tracemalloc.start(_FRAMES)
        for cluster, url in urls.items():
            spec = ClusterSpec(id=cluster, access=Access(server=url), source="benchmark")
            watcher = ClusterWatcher(
                spec, lambda change: changes.update({change.key: change}), WatcherSettings()
            )
            watcher.speak()
            await stack.enter_async_context(supervise(watcher.run()))
            await watcher.synced()
        builder = MeshBuilder(MeshSettings(config_cluster=EAST))
        step = builder.apply(changes.values())
        changes.clear()
        mesh_s, mesh_cpu, mesh_mb = (
            time.perf_counter() - began,
            time.process_time() - cpu,
            resident_mb() - before_mb,
        )
        generation = Translator().generation(step.mesh, step.delta)
        told = [one for url in TYPES for one in generation.resources(CALLER, url, None)]
        if explained:
            print("\n".join(parts()))
            return
        cpu_s, kept_mb = time.process_time() - cpu, resident_mb() - before_mb
    size = sum(len(one.body) for one in told) / 1e6
    print("| pods | services | s to the mesh | CPU s | MB of it | CPU s, a proxy told | MB more | MB told |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {2 * pods:,} | {len(step.mesh.services):,} | {mesh_s:.1f} | {mesh_cpu:.1f} | {mesh_mb:,.0f} "
        f"| {cpu_s - mesh_cpu:.1f} | {kept_mb - mesh_mb:,.0f} | {size:.1f} |\n",
        flush=True,
    )


def parts() -> list[str]:
    """How many MB each module keeps: what it asked for, itself or through libraries."""
    found: Counter[str] = Counter()
    for each in tracemalloc.take_snapshot().statistics("traceback"):
        found[_owner([frame.filename for frame in reversed(each.traceback)])] += each.size
    whole = sum(found.values())
    named = [(name, size) for name, size in found.most_common() if size >= whole * _LEAST]
    rest = whole - sum(size for _, size in named)
    return [f"{size / 1e6:7.1f} MB  {name}" for name, size in [*named, ("all else", rest)]]


def _owner(files: list[str]) -> str:
    """The innermost of our files that a call went through."""
    for each in files:
        place = PurePath(each).parts
        if "isthmus" in place and "site-packages" not in place:
            last = len(place) - 1 - place[::-1].index("isthmus")
            return "/".join(place[last + 1 :])
    return "elsewhere"


def main(words: list[str]) -> None:
    """Print the table, then where the memory is."""
    pods = int(words[0]) if words else 10_000
    asyncio.run(measure(pods, explained="explained" in words))
    if "explained" not in words:
        print("of what Python allocates for a tenth of them, by who asks for it:", flush=True)
        command = [sys.executable, "-m", "benchmarks.two_clusters", str(pods // 10), "explained"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
