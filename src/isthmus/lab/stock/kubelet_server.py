"""The kubelet as kube-apiserver meets it: logs, commands and ports of pods, over HTTPS on the node.

Source: Kubernetes' kubelet, `server/server.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from isthmus.kit.clock import Clock
from isthmus.kit.tls import server_context
from isthmus.lab.apiserver import far_spdy, forwarding
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.errors import ApiError, bad_request
from isthmus.lab.apiserver.nodes import Command, Nodes
from isthmus.lab.apiserver.pod_logs import log_query, send_log
from isthmus.lab.apiserver.remote import run
from isthmus.lab.apiserver.users import MASTERS
from isthmus.lab.furniture import KUBELET_PORT
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sockets import listen
from isthmus.lab.spec import ClusterSpec
from isthmus.lab.stock.far_spdy_command import PROTOCOL, FarSpdyCommand

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OUTPUTS = {"output": "stdout", "error": "stderr"}


class KubeletServer:
    """Answers for the pods of `nodes` whoever shows that the cluster's administrators sent them."""

    def __init__(
        self, nodes: Nodes, credentials: ClusterCredentials, spec: ClusterSpec, clock: Clock
    ) -> None:
        self._nodes, self._clock = nodes, clock
        self._addresses = [each.node_address for each in spec.families]
        own = credentials.server(spec.node, self._addresses, (spec.node,))
        self._tls = server_context(
            certificate=own.certificate, key=own.key, client_roots=credentials.ca, require_client=True
        )

    async def run(self, router: NetworkNamespace) -> None:
        """Serve on the node until cancelled."""
        app = web.Application(middlewares=[_for_administrators])
        pod = "/{namespace}/{pod}"
        for path, handler in (
            (f"/containerLogs{pod}/{{container}}", self._logs),
            (f"/exec{pod}/{{container}}", self._execute),
            (f"/attach{pod}/{{container}}", self._refuse_attach),
            (f"/portForward{pod}", self._forward),
        ):
            app.router.add_route("*", path, handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            for each in self._addresses:
                socket = listen(router, each, KUBELET_PORT)
                await web.SockSite(runner, socket, ssl_context=self._tls).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        query = log_query(request.query, request.match_info["container"], self._clock.now())
        return await send_log(request, self._nodes, _place(request), query)

    async def _execute(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        command = Command(
            request.match_info["container"],
            tuple(asked.getall("command", [])),
            stdin=asked.get("input") == "1",
            tty=asked.get("tty") == "1",
        )
        if PROTOCOL not in _spoken(request):
            raise bad_request(f"commands are spoken of in SPDY with {PROTOCOL} here")
        outputs = {stream for word, stream in _OUTPUTS.items() if asked.get(word) == "1"}
        async with far_spdy.upgraded(request, PROTOCOL) as link:
            far = FarSpdyCommand(link, command, outputs=frozenset(outputs))
            if await far.opened():
                await run(self._nodes, _place(request), command, far)
        return far_spdy.Said()

    async def _refuse_attach(self, _request: web.Request) -> web.StreamResponse:
        words = "attach is not served here (hint: use kubectl logs -f, or kubectl exec for a new process)"
        raise bad_request(words)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        # SPDY comes from the API server, which ends kubectl's WebSocket; older protocols it only hands on.
        if far_spdy.wants_upgrade(request):
            return await far_spdy.upgrade(request, self._nodes, _place(request))
        if forwarding.speaks(request):
            return await forwarding.forward(request, self._nodes, _place(request), "port")
        raise forwarding.refused(_place(request))


@web.middleware
async def _for_administrators(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever has another certificate of the cluster's is refused, and every refusal is words."""
    shown: Any = request.get_extra_info("peercert") or {}
    organizations = {
        value for part in shown.get("subject", ()) for key, value in part if key == "organizationName"
    }
    if MASTERS not in organizations:
        return web.Response(text="Forbidden", status=403)
    try:
        return await handler(request)
    except ApiError as error:
        return web.Response(text=error.message, status=error.code)


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["pod"]


def _spoken(request: web.Request) -> set[str]:
    lines = request.headers.getall(far_spdy.VERSION, [])
    return {each.strip() for line in lines for each in line.split(",")}
