"""What happened to pods, as Event objects: `kubectl describe` shows them."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from isthmus.kit import date
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.objects import Objects

Json = dict[str, Any]
_EVENTS = builtin("events")


class Events:
    """Writes events about pods."""

    def __init__(self, api: Objects, host: str) -> None:
        self._api, self._host = api, host

    async def note(self, pod: Json, reason: str, message: str) -> None:
        """Something usual happened."""
        await self._write(pod, "Normal", reason, message)

    async def warn(self, pod: Json, reason: str, message: str) -> None:
        """Something went wrong."""
        await self._write(pod, "Warning", reason, message)

    async def _write(self, pod: Json, kind: str, reason: str, message: str) -> None:
        meta, now = pod["metadata"], date.show(self._api.clock.now())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:12]}", "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": self._host},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        with suppress(ApiError):
            await self._api.create(_EVENTS, event)
