"""What stands before an API server, hands on what is asked of it, and misbehaves as it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web

from fakes.ports import free_ports
from isthmus.kit.redacted import Redacted
from isthmus.kit.tls import client_context
from isthmus.kube.kubeconfig import Token

_KEPT = ("Accept", "Authorization", "Content-Type")


class MisbehavingApi:
    """Before `cluster`. It begins by doing nothing wrong, and ends that by `behave`."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._port = free_ports(1)[0]
        self._runner = None
        self._session = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._open = []
        self._watched = []
        self._judge = _takes_all

    @property
    def spec(self):
        """The cluster as it is met here, by its administrator's token."""
        token = Token(Redacted(self._cluster.served.credentials.admin_token))
        return self._cluster.spec(server=f"http://127.0.0.1:{self._port}", ca=None, credentials=token)

    async def behave(self):
        """From now on."""
        self._judge = _takes_all
        self._passing.set()
        await self._listen()

    async def die(self):
        """Be out of reach: what is open breaks, and nobody listens."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def answer(self, code):
        """Refuse all that is asked with `code`; what is open breaks."""
        self._judge = lambda _: code
        self._break(lambda _: True)

    async def forget(self):
        """Say of each watch that its history is gone (410), and of those that are open; lists are answered."""
        self._judge = lambda request: 410 if _is_watch(request) else None
        self._break(_is_watch)

    async def hang(self):
        """Hold everything: no answer begins, none goes on, no connection ends."""
        self._passing.clear()

    async def lie(self):
        """End the watches of half of the kinds, and all that come of these, as if there were nothing to tell."""
        silenced = frozenset(sorted(set(self._watched))[::2])
        assert silenced, "nothing is watched yet"
        self._judge = lambda request: 200 if _is_watch(request) and request.path in silenced else None
        self._break(lambda request: request.path in silenced)

    @asynccontextmanager
    async def standing(self):
        """Until the block ends."""
        tls = client_context(roots=self._cluster.served.credentials.ca)
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        ) as session:
            self._session = session
            await self._listen()
            try:
                yield self
            finally:
                self._passing.set()
                await self.die()

    async def _listen(self):
        if self._runner is None:
            application = web.Application(client_max_size=1 << 24)
            application.router.add_route("*", "/{tail:.*}", self._hand_on)
            self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    def _break(self, chosen):
        for request in [each for each in self._open if chosen(each)]:
            if request.transport is not None:
                request.transport.abort()

    async def _hand_on(self, request):
        if _is_watch(request):
            self._watched.append(request.path)
        await self._passing.wait()
        if (code := self._judge(request)) is not None:
            return _refusal(code)
        self._open.append(request)
        try:
            return await self._answered(request)
        finally:
            self._open.remove(request)

    async def _answered(self, request):
        url = self._cluster.served.url + str(request.rel_url)
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        asked = self._session.request(request.method, url, headers=headers, data=await request.read())
        async with asked as found:
            answer = web.StreamResponse(status=found.status)
            answer.content_type = found.content_type
            await answer.prepare(request)
            with suppress(ConnectionError):
                async for part in found.content.iter_any():
                    await self._passing.wait()
                    await answer.write(part)
            return answer


def _takes_all(_):
    return None


def _is_watch(request):
    return request.query.get("watch") in {"true", "1"}


def _refusal(code):
    if code == 200:
        return web.Response(content_type="application/json")
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "message": f"here is {code}",
    }
    return web.json_response(status, status=code, headers={"Retry-After": "1"} if code == 429 else None)
