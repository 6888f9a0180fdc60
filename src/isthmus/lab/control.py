"""The lab's control socket: what `isthmus lab` and the demo ask of a running lab."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
from aiohttp import web

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import not_found
from isthmus.lab.cluster import Cluster
from isthmus.lab.wan import Cut, Impairment
from isthmus.lab.wiretap import Flow, Wiretap
from isthmus.lab.world import Lab

Json = dict[str, Any]
_PODS, _SERVICES = builtin("pods"), builtin("services")


class Control:
    """HTTP on a Unix socket: `/status`, `/link/…`, `/route/…`, `/apiserver/…`, `/down`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.asked_down = asyncio.Event()
        self._tap: Wiretap | None = None

    async def serve(self, door: socket.socket) -> web.AppRunner:
        """Answer on `door`; the runner ends it."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/status", self._status),
                web.post("/link/{action}", self._link),
                web.post("/route/{door}", self._route),
                web.post("/apiserver/{cluster}/{action}", self._apiserver),
                web.post("/down", self._down),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, door).start()
        return runner

    async def _status(self, _: web.Request) -> web.Response:
        wan = self._lab.wan
        link = (
            msgspec.structs.asdict(self._lab.spec.link) if wan.impairment is None else _plain(wan.impairment)
        )
        cut = wan.is_cut
        return _answer(
            {
                "clusters": [_describe(each) for each in self._lab.clusters.values()],
                "link": {**link, "cut": cut.value if cut is not None else "", "carrier": wan.carrier},
            }
        )

    async def _link(self, request: web.Request) -> web.Response:
        wan, body = self._lab.wan, await _body(request)
        match request.match_info["action"]:
            case "cut":
                await wan.cut(Cut(body.get("how", Cut.BLACKHOLE.value)))
            case "heal":
                await wan.heal()
            case "impair":
                await wan.impair(Impairment(**{key: float(value) for key, value in body.items()}))
            case "listen":
                await self._listen()
            case "heard":
                return _answer(self._heard(body))
            case action:
                hint = "hint: cut, heal, impair, listen, heard"
                return _refused(f"no link action is called {action!r} ({hint})")
        return await self._status(request)

    async def _listen(self) -> None:
        """Keep what passes the link from now on, until it is asked for."""
        if self._tap is not None:
            self._tap.stop()
        self._tap = self._lab.wan.tap()
        self._tap.start()

    def _heard(self, body: Json) -> Json:
        """Which of `needles` passed in the clear, and how many packets from each range to each; ends the listening."""
        tap, self._tap = self._tap, None
        if tap is None:
            return {"complete": False, "needles": [], "packets": [], "flows": []}
        tap.stop()
        flows = tap.flows()
        return {
            "complete": tap.complete,
            "needles": [each for each in body.get("needles", ()) if tap.contains(each.encode())],
            "packets": [tap.packets(source, to) for source, to in body.get("between", ())],
            "flows": sorted(
                {
                    f"{each.protocol} {each.source} {each.destination}:{each.destination_port}"
                    for each in flows
                }
            ),
        }

    async def _route(self, request: web.Request) -> web.Response:
        """Lead a door to a Service: by its cluster IP, so that it follows the pods behind it."""
        body = await _body(request)
        cluster = self._lab.clusters.get(body.get("cluster", ""))
        if cluster is None or cluster.plane is None:
            return _refused(f"no cluster is called {body.get('cluster')!r}")
        service = cluster.plane.objects.find(_SERVICES, body["namespace"], body["service"])
        if service is None:
            error = not_found(_SERVICES, body["service"])
            return _refused(error.message, error.code)
        address = service["spec"]["clusterIP"]
        self._lab.route(request.match_info["door"], cluster.spec.name, address, int(body["port"]))
        return _answer({"address": address})

    async def _apiserver(self, request: web.Request) -> web.Response:
        cluster = self._lab.clusters.get(request.match_info["cluster"])
        if cluster is None or cluster.plane is None:
            return _refused(f"no cluster is called {request.match_info['cluster']!r}")
        match request.match_info["action"]:
            case "stop":
                await cluster.plane.fall_silent()
            case "start":
                await cluster.plane.serve()
            case "forget":
                await cluster.plane.forget_history()
            case action:
                return _refused(f"no action is called {action!r} (hint: stop, start, forget)")
        return _answer({})

    async def _down(self, _: web.Request) -> web.Response:
        self.asked_down.set()
        return _answer({})


def _describe(cluster: Cluster) -> Json:
    spec = cluster.spec
    pods = cluster.plane.objects.list(_PODS).items if cluster.plane is not None else []
    return {
        "name": spec.name,
        "server": cluster.server_inside,
        "pods": spec.pod_cidr,
        "services": spec.service_cidr,
        "node": spec.node,
        "region": spec.region,
        "zone": spec.zone,
        "running": sum((pod.get("status") or {}).get("phase") == "Running" for pod in pods),
    }


def _shown(flow: Flow) -> str:
    return f"{flow.protocol} {flow.source} > {flow.destination}:{flow.destination_port}"


def _plain(impairment: Impairment) -> Json:
    return {"delay_ms": impairment.delay_ms, "jitter_ms": impairment.jitter_ms, "loss": impairment.loss}


async def _body(request: web.Request) -> Json:
    content = await request.read()
    body: Json = msgspec.json.decode(content) if content else {}
    return body


def _answer(content: Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _refused(message: str, code: int = 400) -> web.Response:
    return web.Response(text=message, status=code)
