"""How much Pilots, Citadels and injectors log, in all clusters: looked at, and set."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from isthmus.console.ca_clusters import running
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.console.control_plane import access_to
from isthmus.console.meshed import Meshed
from isthmus.console.programs import CITADEL, CITADEL_PORT, INJECTOR, MONITORING_PORT, PILOT
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.log_levels import ALL, said_levels
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.log_levels import CONFIG_MAP, KEY, PAGE
from isthmus.kube.pods import fetch

_PROGRAMS = (
    ("pilot", PILOT, MONITORING_PORT),
    ("citadel", CITADEL, CITADEL_PORT),
    ("injector", INJECTOR, MONITORING_PORT),
)
_MANAGER = "isthmus-admin-log"
_LOOK_AGAIN_S = 0.5
_FOLLOWED_WITHIN_S = 15.0


class Program(NamedTuple):
    """One program of a control plane, and what it says of its logs."""

    context: str
    pod: str
    program: str
    said: Mapping[str, Any]

    def __str__(self) -> str:
        where = f' of context "{self.context}"' if self.context else ""
        return f"{self.program} in {self.pod}{where}"


class Found(NamedTuple):
    """All programs that answered, and what is to be said of others."""

    programs: tuple[Program, ...]
    silent: tuple[str, ...]


async def look(where: Meshed) -> Found:
    """What all programs say. Raises `KubeError` where none does."""
    parts = await asyncio.gather(*(_of_cluster(where, context) for context in where.contexts or ("",)))
    programs = tuple(each for part in parts for each in part.programs)
    silent = tuple(each for part in parts for each in part.silent)
    if not programs:
        raise KubeError("; ".join(silent))
    return Found(programs, silent)


async def put(where: Meshed, wanted: Mapping[str, str] | None, clock: Clock | None = None) -> Found:
    """Set these levels in all clusters, without any those of the start, and see them followed.

    A level of `ALL` puts all that were set before aside. Who could not be told or does not follow is in `silent`.
    Raises `KubeError` where no cluster could be told.
    """
    told = await asyncio.gather(*(_tell(where, context, wanted) for context in where.contexts or ("",)))
    untold = tuple(filter(None, told))
    if len(untold) == len(told):
        raise KubeError("; ".join(untold))
    clock = clock or SystemClock()
    end = clock.monotonic() + _FOLLOWED_WITHIN_S
    while True:
        found = await look(where)
        late = [str(each) for each in found.programs if not is_followed(each, wanted or {})]
        if not late or clock.monotonic() >= end:
            unheard = tuple(
                f"{each} does not follow ConfigMap {where.root}/{CONFIG_MAP} yet" for each in late
            )
            return Found(found.programs, (*untold, *found.silent, *unheard))
        await clock.sleep(_LOOK_AGAIN_S)


def is_followed(program: Program, wanted: Mapping[str, str]) -> bool:
    """Whether a program has taken up what was set; without any, that nothing is."""
    said = {each.strip() for each in program.said["said"].split(",") if each.strip()}
    if program.said["wrong"]:
        return False
    return _pairs(wanted) <= said if wanted else not said


def _pairs(levels: Mapping[str, str]) -> set[str]:
    return {f"{name}:{level}" for name, level in levels.items()}


async def _of_cluster(where: Meshed, context: str) -> Found:
    try:
        async with Client(access_to(where.kubeconfig, context or None)) as client:
            asked = [
                _ask(client, where, (context, pod, name, port))
                for name, labels, port in _PROGRAMS
                for pod in await running(client, where.root, labels, where.revision)
            ]
            answers = await asyncio.gather(*asked)
    except KubeError as error:
        return Found((), (_of_context(context, str(error)),))
    if not answers:
        hint = "(hint: --context of a cluster with Pilot or Citadel)"
        what = f"revision {where.revision!r}" if where.revision else "control plane"
        return Found((), (_of_context(context, f"no {what} runs in namespace {where.root!r} {hint}"),))
    programs = [each for each in answers if isinstance(each, Program)]
    return Found(tuple(programs), tuple(each for each in answers if isinstance(each, str)))


async def _ask(client: Client, where: Meshed, of: tuple[str, str, str, int]) -> Program | str:
    context, pod, program, port = of
    try:
        said = msgspec.json.decode(await fetch(client, where.root, pod, port, PAGE))
    except (KubeError, *UNREADABLE) as error:
        return _of_context(context, f"{program} in {pod}: {error}")
    return Program(context, pod, program, said)


async def _tell(where: Meshed, context: str, wanted: Mapping[str, str] | None) -> str:
    """Writes the ConfigMap of one cluster; returns why that could not be, empty where it could."""
    try:
        async with Client(access_to(where.kubeconfig, context or None)) as client:
            levels = {**await _told(client, where.root, wanted), **(wanted or {})}
            text = ",".join(sorted(_pairs(levels)))
            metadata = {"name": CONFIG_MAP, "namespace": where.root}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}
            await client.apply(CONFIG_MAPS, body, _MANAGER)
    except Forbidden as error:
        hint = f"get and patch configmaps called {CONFIG_MAP} in namespace {where.root} are needed"
        return _of_context(context, f"{error} (hint: {hint})")
    except KubeError as error:
        return _of_context(context, str(error))
    return ""


async def _told(client: Client, namespace: str, wanted: Mapping[str, str] | None) -> dict[str, str]:
    """What was set before and stays; nothing where it is not understood."""
    if not wanted or ALL in wanted:
        return {}
    try:
        found = await client.get(CONFIG_MAPS, namespace, CONFIG_MAP)
    except NotFound:
        return {}
    try:
        return said_levels((found.get("data") or {}).get(KEY, ""))
    except ValueError:
        return {}


def _of_context(context: str, why: str) -> str:
    return f'context "{context}": {why}' if context else why


def rows(programs: Sequence[Program], *, wide: bool) -> list[tuple[str, ...]]:
    """A row for each scope: its level, where programs differ with who is at which; `wide`: one for each program."""
    if wide:
        return [
            (
                each["scope"],
                each["level"],
                each["started"],
                program.program,
                program.pod,
                program.context or "-",
            )
            for program in programs
            for each in program.said["scopes"]
        ]
    levels: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    about = {}
    for program in programs:
        for each in program.said["scopes"]:
            levels[each["scope"]][each["level"]].append(f"{program.program} {program.pod}")
            about[each["scope"]] = each["about"]
    return [(name, _shown(levels[name]), about[name]) for name in sorted(levels)]


def _shown(levels: Mapping[str, Sequence[str]]) -> str:
    if len(levels) == 1:
        return next(iter(levels))
    return "; ".join(f"{level} ({', '.join(who)})" for level, who in sorted(levels.items()))
