"""What a cloud does for Services of type LoadBalancer: it gives them an address, here all the same one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.watch import Following
from isthmus.lab.objects import Objects

Json = dict[str, Any]
_SERVICES = builtin("services")
_AGAIN_S = 1.0


class Balancer:
    """Keeps the addresses of balancers in the status of Services true."""

    def __init__(self, objects: Objects, address: str) -> None:
        self._objects, self._ingress = objects, [{"ip": address, "ipMode": "VIP"}]

    async def run(self) -> None:
        """Look at each Service that comes or changes, and at all once in a while, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            while True:
                await self._objects.clock.sleep(_AGAIN_S)
                for each in self._objects.list(_SERVICES).items:
                    await self._tend(each)

    async def _follow(self) -> None:
        async with aclosing(self._objects.watch(Following(_SERVICES))) as events:
            async for event in events:
                if event.kind != "DELETED":
                    await self._tend(event.object)

    async def _tend(self, service: Json) -> None:
        status = service.get("status") or {}
        held = (status.get("loadBalancer") or {}).get("ingress") or []
        wanted = self._ingress if service["spec"].get("type") == "LoadBalancer" else []
        if held != wanted:
            with suppress(ApiError):  # it is gone, or nobody answers: looked at again
                balancer = {"ingress": wanted} if wanted else {}
                await self._objects.set_status(_SERVICES, service, {**status, "loadBalancer": balancer})
