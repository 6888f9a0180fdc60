"""Probes and hooks that kubelets ask of the agent: it asks the application, past what Envoy demands of callers.

Source: Istio's documentation "Health Checking of Istio Services".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.kit.plain_http import Request, Response
from isthmus.sidecar.probe_paths import HOOKS, PROBES
from isthmus.sidecar.probing import Answer, Here, answer


class AppProbes:
    """Answers what is under these paths.

    The port is open to the whole network, so one question at a time is asked of the application for each path: who
    asks meanwhile is given the same answer.
    """

    def __init__(self, probes: Mapping[str, ReadinessProbe], here: Here) -> None:
        """`probes`: by path."""
        self._probes, self._here = probes, here
        self._asked: dict[str, asyncio.Future[Answer]] = {}

    def answers(self, request: Request) -> bool:
        """Whether a request is for what is answered here."""
        return request.path.startswith((PROBES, HOOKS))

    async def answer(self, request: Request) -> Response:
        """The application's answer: its status, and in words what is wrong; nothing else of what it says."""
        path = request.path.partition("?")[0]
        if path not in self._probes:
            return Response(404, f"no container's probe or hook is {path}\n".encode())
        if request.method != "GET":
            return Response(405, b"only GET is answered\n")
        found = await self._once(path, request.headers.get("user-agent", "kube-probe"))
        return Response(found.status, f"{found.fault or 'well'}\n".encode())

    async def hooks_are_answered(self) -> None:
        """Return when no hook is asked any more."""
        while hooks := [found for path, found in self._asked.items() if path.startswith(HOOKS)]:
            await asyncio.wait(hooks)

    async def _once(self, path: str, agent: str) -> Answer:
        if path in self._asked:
            return await asyncio.shield(self._asked[path])
        self._asked[path] = told = asyncio.get_running_loop().create_future()
        try:
            found = await answer(self._probes[path], self._here, agent)
            told.set_result(found)
            return found
        finally:
            del self._asked[path]
            told.cancel()  # where it was not told: nobody asks any more
