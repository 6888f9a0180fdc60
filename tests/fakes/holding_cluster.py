"""An API server of a few lines that knows pods, namespaces and published roots, and hands on what pods say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import yaml
from aiohttp import web

from fakes.ports import free_ports
from isthmus.model.holdings import PAGE, CitadelHolding, Holding


class HoldingCluster:
    """What is asked of it is what was put in: nothing is made up."""

    def __init__(self) -> None:
        self.said: dict[str, CitadelHolding | Holding | dict | None] = {}
        """By `namespace/pod`; None: the pod does not answer."""
        self.ports: dict[str, int] = {}
        self.published: dict[str, str | None] = {"default": None, "istio-system": None}
        self.server = ""

    def citadel(self, said: CitadelHolding | None, pod: str = "istio-citadel-1") -> None:
        self.said[f"istio-system/{pod}"] = said
        self.ports[f"istio-system/{pod}"] = 15016

    def pilot(self, *proxies: dict) -> None:
        """What Pilot knows of the proxies that are connected to it."""
        self.said["istio-system/istio-pilot-1"] = {"pilot": None, "proxies": list(proxies)}
        self.ports["istio-system/istio-pilot-1"] = 15014

    def proxy(self, pod: str, said: Holding | None, port: int = 15020) -> None:
        self.said[pod] = said
        self.ports[pod] = port

    def kubeconfig(self, name: str) -> str:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.server}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        return yaml.safe_dump(document)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v1/{plural}", self.collection)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods", self.collection)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", self.page)
        return app

    async def collection(self, request: web.Request) -> web.Response:
        plural = request.match_info.get("plural", "pods")
        items = {"pods": self.pods, "namespaces": self.namespaces, "configmaps": self.maps}[plural](request)
        return web.json_response({"items": items, "metadata": {"resourceVersion": "1"}})

    def pods(self, request: web.Request) -> list[dict]:
        wanted = request.query.get("labelSelector")
        found = []
        for key, port in self.ports.items():
            namespace, name = key.split("/")
            is_ours = name.startswith("istio-")
            if wanted and not name.startswith(
                wanted.replace("istio=", "istio-").replace("isthmus.io/citadel=true", "istio-citadel")
            ):
                continue
            config = {"name": "PROXY_CONFIG", "value": f'{{"statusPort": {port}}}'}
            container = {"name": "ours"} if is_ours else {"name": "istio-proxy", "env": [config]}
            found.append(
                {"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [container]}}
            )
        plain = {"metadata": {"name": "plain", "namespace": "default"}, "spec": {"containers": []}}
        return found if wanted else [*found, plain]

    def namespaces(self, _: web.Request) -> list[dict]:
        return [{"metadata": {"name": name}} for name in self.published]

    def maps(self, request: web.Request) -> list[dict]:
        assert request.query["fieldSelector"] == "metadata.name=istio-ca-root-cert"
        return [
            {"metadata": {"name": "istio-ca-root-cert", "namespace": name}, "data": {"root-cert.pem": text}}
            for name, text in self.published.items()
            if text is not None
        ]

    async def page(self, request: web.Request) -> web.WebSocketResponse:
        """A forwarded port, at the other end of which somebody answers one question."""
        key, port = "{namespace}/{pod}".format(**request.match_info), int(request.query["ports"])
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (b"\0", b"\1"):
            await socket.send_bytes(channel + port.to_bytes(2, "little"))
        said = self.said.get(key)
        if said is None or port != self.ports[key]:
            await socket.send_bytes(b"\1an error occurred forwarding: connection refused")
        else:
            asked = await socket.receive_bytes()
            page = "/debug/trust" if "pilot" in key else PAGE
            assert asked.startswith(f"\0GET {page} ".encode())
            body = msgspec.json.encode(said)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
            await socket.send_bytes(b"\0" + head.encode() + body)
        await socket.close()
        return socket


@asynccontextmanager
async def holding_cluster() -> AsyncIterator[HoldingCluster]:
    """The cluster on loopback."""
    cluster = HoldingCluster()
    runner = web.AppRunner(cluster.application(), shutdown_timeout=0.1)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    cluster.server = f"http://127.0.0.1:{port}"
    try:
        yield cluster
    finally:
        await runner.cleanup()
