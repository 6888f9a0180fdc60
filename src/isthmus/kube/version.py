"""Which Kubernetes an API server is of. Source: its `/version`."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from isthmus.kit.clock import Clock
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, Unreachable

_ASKED_EVERY_S = 60.0  # clusters are upgraded while they are followed
_AGAIN_S = 5.0  # where there was no answer yet


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


async def server_version(client: Client) -> str:
    """As `v1.33.2`. Raises `KubeError`."""
    body = await client.request("GET", "/version")
    try:
        return msgspec.json.decode(body, type=_Version).git_version
    except UNREADABLE as error:
        raise Unreachable(f"/version of {client.access.server} is none: {error}") from error


async def server_versions(client: Client, clock: Clock) -> AsyncGenerator[str, None]:
    """What it is now, and what it becomes, without end; while it does not answer, nothing."""
    last = ""
    while True:
        try:
            version = await server_version(client)
        except KubeError:
            version = last
        if version != last:
            last = version
            yield version
        await clock.sleep(_ASKED_EVERY_S if last else _AGAIN_S)
