"""Waiting until what was written is what proxies do, in all clusters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from isthmus.api import KINDS
from isthmus.api.resource import Kind
from isthmus.console.control_plane import access_to
from isthmus.console.meshed import Meshed
from isthmus.console.pilots import Told, ask_pilots
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound

_LOOK_AGAIN_S = 0.5


class Asked(NamedTuple):
    """The object that is waited for, and from which generation on; `gone`: until nothing follows from it."""

    kind: Kind
    namespace: str
    name: str
    generation: int = 0
    gone: bool = False

    def __str__(self) -> str:
        return f"{self.kind.ref_kind} {self.namespace}/{self.name}"


class Standing(NamedTuple):
    """How far it has come: what is missing (empty: nothing), whether that will not mend itself, and the proxies."""

    missing: tuple[str, ...]
    hopeless: bool
    proxies: tuple[dict[str, Any], ...]
    generation: int


def kind_called(word: str) -> Kind:
    """The kind of configuration that kubectl would call so: its name, plural, or short name. Raises `ValueError`."""
    wanted = word.lower()
    for kind in KINDS:
        words = {kind.name.lower(), kind.plural, f"{kind.plural}.{kind.group}", *kind.short_names}
        if kind.is_config and wanted in words:
            return kind
    known = ", ".join(sorted({kind.name for kind in KINDS if kind.is_config}))
    raise ValueError(f"{word!r} is no kind of configuration (hint: {known})")


async def current_generation(where: Meshed, asked: Asked) -> int:
    """The generation that the API server has. Raises `KubeError`, also where the object is not there."""
    async with Client(access_to(where.kubeconfig, next(iter(where.contexts), None))) as client:
        for version in asked.kind.versions:
            try:
                found = await client.get(asked.kind.in_version(version), asked.namespace, asked.name)
            except NotFound:
                continue
            return int(found.get("metadata", {}).get("generation", 0))
    raise KubeError(f"{asked} is not there (hint: the first --context is that of the configuration)")


async def awaited(where: Meshed, asked: Asked, limit_s: float, clock: Clock | None = None) -> Standing:
    """How it stands once nothing is missing, nothing will come, or after `limit_s`. Raises `KubeError`."""
    clock = clock or SystemClock()
    end = clock.monotonic() + limit_s
    query = urlencode({"kind": asked.kind.ref_kind, "namespace": asked.namespace, "name": asked.name})
    while True:
        answers = await ask_pilots(where, f"/debug/distribution?{query}")
        found = standing(asked, answers.told, [str(each) for each in answers.silent])
        left_s = end - clock.monotonic()
        if not found.missing or found.hopeless or left_s <= 0:
            return found
        await clock.sleep(min(_LOOK_AGAIN_S, left_s))


def standing(asked: Asked, told: Sequence[Told], silent: Sequence[str] = ()) -> Standing:
    """What of it is missing, of what all Pilots say."""
    missing, hopeless = list(silent), False
    proxies: list[dict[str, Any]] = []
    for each in told:
        said = each.said
        if said["refused"]:
            missing.append(f"{each.pod} does not take it: {said['refused']}")
            hopeless = True
        elif asked.gone and said["known"]:
            missing.append(f"{each.pod} still has it")
        elif not asked.gone and (not said["taken"] or said["generation"] < asked.generation):
            missing.append(f"{each.pod} has generation {said['generation']} of {asked.generation}")
        for proxy in said["proxies"]:
            proxies.append(proxy)
            if proxy["state"] != "holds":
                missing.append(f"{proxy['name']} in {proxy['cluster']}: {proxy['why']}")
                hopeless = hopeless or proxy["state"] == "rejected"
    return Standing(
        tuple(missing), hopeless, tuple(proxies), min((each.said["generation"] for each in told), default=0)
    )


def counted(proxies: Sequence[dict[str, Any]]) -> str:
    """`7 proxies (gke 6, onprem 1)`."""
    places = {proxy["id"]: proxy["cluster"] for proxy in proxies}
    by_cluster = sorted(Counter(places.values()).items())
    named = ", ".join(f"{name} {count}" for name, count in by_cluster)
    word = "proxy" if len(places) == 1 else "proxies"
    return f"{len(places)} {word} ({named})" if places else "no proxy, since none is concerned"


def wait_for(where: Meshed, asked: Asked, limit_s: float) -> Standing:
    """As `awaited`, for commands; without a generation, from that on which the API server has."""

    async def within() -> Standing:
        wanted = asked
        if not asked.gone and not asked.generation:
            wanted = asked._replace(generation=await current_generation(where, asked))
        return await awaited(where, wanted, limit_s)

    return asyncio.run(within())
