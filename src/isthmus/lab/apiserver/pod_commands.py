"""`pods/exec`, `pods/attach` and `pods/portforward`: requests that become streams in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from isthmus.lab.apiserver import far_spdy, forwarding
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.containers import container_of
from isthmus.lab.apiserver.errors import ApiError, bad_request
from isthmus.lab.apiserver.far_websocket import FarWebSocket, accept
from isthmus.lab.apiserver.nodes import Command, Nodes
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.remote import run
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]
_TRUE = frozenset({"true", "1"})


class PodCommands:
    """Answers for commands in one cluster's pods."""

    def __init__(self, api: Api, nodes: Callable[[], Nodes | None]) -> None:
        self._api = api
        self._nodes = nodes

    async def execute(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """Run a command for the user. Raises `ApiError` before the upgrade where it cannot run."""
        asked = request.query
        pod = self._running_pod(place)
        nodes = self._nodes()
        if nodes is None:
            raise bad_request(f"pod {place.name} does not have a host assigned")
        command = Command(
            container_of(pod, asked.get("container", "")),
            tuple(asked.getall("command", [])),
            stdin=asked.get("stdin") in _TRUE,
            tty=asked.get("tty") in _TRUE,
        )
        if not command.arguments:
            raise bad_request("you must specify at least one command for the container")
        if not _is_websocket(request):
            raise _only_websocket("exec")
        socket = await accept(request)
        await run(nodes, (place.namespace, place.name), command, FarWebSocket(socket))
        return socket

    async def refuse_attach(self, _request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """Nothing: a container's own process keeps its streams. Raises `ApiError` (400) that says what works."""
        self._running_pod(place)
        words = "attach is not served here (hint: use kubectl logs -f, or kubectl exec for a new process)"
        raise bad_request(words)

    async def forward(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """A connection to a port of the pod's. Raises `ApiError` (400) before the upgrade where there can be none."""
        self._running_pod(place)
        nodes, where = self._nodes(), (place.namespace, place.name)
        if nodes is not None and far_spdy.wants_upgrade(request):
            return await far_spdy.upgrade(request, nodes, where)
        if nodes is not None and _is_websocket(request):
            if far_spdy.wants_tunnel(request):
                return await far_spdy.tunnel(request, nodes, where)
            if forwarding.speaks(request):
                return await forwarding.forward(request, nodes, where)
        raise forwarding.refused(where)

    def _running_pod(self, place: Place) -> Json:
        pod = self._api.get(builtin("pods"), place.namespace, place.name)
        phase = (pod.get("status") or {}).get("phase")
        if phase in {"Succeeded", "Failed"}:
            raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
        if not (pod.get("spec") or {}).get("nodeName"):
            raise bad_request(f"pod {place.name} does not have a host assigned")
        return pod


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _only_websocket(what: str) -> ApiError:
    words = f"{what} works over WebSocket only here (hint: use kubectl 1.31 or later)"
    return ApiError(400, "BadRequest", words)
