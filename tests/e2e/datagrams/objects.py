"""The objects of stories of datagrams: a server that echoes and answers questions of DNS, and what it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.echo.objects import account, deployment, meta
from e2e.workloads import ask
from isthmus.console.demo.stage import Stage

Json = dict[str, Any]
PROGRAMS = Path(__file__).with_name("programs")


def programs() -> Json:
    data = {file.name: file.read_text() for file in sorted(PROGRAMS.glob("*.py"))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("programs"), "data": data}


def service(name: str, targets: tuple[int, int], app: str = "parrot") -> Json:
    echo, names = targets
    ports = [
        {"name": "echo", "port": 7, "protocol": "UDP", "targetPort": echo},
        {"name": "names", "port": 53, "protocol": "UDP", "targetPort": names},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name),
        "spec": {"selector": {"app": app}, "ports": ports},
    }


def server(version: str, targets: tuple[int, int]) -> list[Json]:
    """`parrot`, which takes datagrams at these ports."""
    command = ["python3", "/programs/serve_udp.py", *map(str, targets)]
    return [programs(), account("parrot"), deployment("parrot", command, version)]


def caller() -> list[Json]:
    """A pod in which `ask_udp.py` runs."""
    return [programs(), account("caller"), deployment("caller", ["sleep", "infinity"])]


async def echoed(stage: Stage, target: str, **options: object) -> list[Json]:
    """What came back of the datagrams that the caller sent to `target`."""
    found: list[Json] | None = await ask(stage, "ask_udp", "echo", target, json.dumps(options))
    return found or []


async def answers(stage: Stage, target: str) -> bool:
    """Whether all of three datagrams come back."""
    found = await echoed(stage, target, times=3, limit_s=1.0)
    return bool(found) and all(each["whole"] for each in found)
