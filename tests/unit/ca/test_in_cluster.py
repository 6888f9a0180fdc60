"""Citadel in its cluster: an API server of a few lines, over real HTTP, and all the rest as it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fakes.eventually import eventually
from fakes.ports import free_ports
from isthmus.ca.citadel import CitadelSettings
from isthmus.ca.founding import found
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.vouching import Review, ReviewUnavailable
from isthmus.kit import x509
from isthmus.kit.plain_http import fetch
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import Access
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import Certificates, CertSettings

pytestmark = pytest.mark.usefixtures("wire")


class SmallApiServer:
    """Namespaces, ConfigMaps of one name, TokenReviews; knows the token `good`, of default:reviews."""

    def __init__(self) -> None:
        self.namespaces = {"default": {}, "istio-system": {}}
        self.config_maps: dict[str, dict] = {}
        self.reviews: list[dict] = []
        self.writes: list[str] = []  # the namespaces of each write of a ConfigMap
        self.leases: dict[str, dict] = {}
        self._version = 1
        self._watchers: list[tuple[str, asyncio.Queue]] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self.review)
        app.router.add_get("/api/v1/{plural}", self.collection)
        app.router.add_patch("/api/v1/namespaces/{namespace}/configmaps/{name}", self.apply)
        leases = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases"
        app.router.add_post(leases, self.put_lease)
        app.router.add_get(f"{leases}/{{name}}", self.lease)
        app.router.add_put(f"{leases}/{{name}}", self.put_lease)
        return app

    async def lease(self, request: web.Request) -> web.Response:
        found = self.leases.get(request.match_info["name"])
        return web.json_response(found or {"code": 404}, status=200 if found else 404)

    async def put_lease(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        here = self.leases.get(name, {"metadata": {}})["metadata"].get("resourceVersion")
        if body["metadata"].get("resourceVersion") != here:
            return web.json_response({"code": 409}, status=409)
        body["metadata"]["resourceVersion"] = str(int(here or 0) + 1)
        self.leases[name] = body
        return web.json_response(body)

    async def review(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.reviews.append(body["spec"])
        status: dict = {"authenticated": False, "error": "unknown"}
        if body["spec"]["token"] == "good":
            user = {"username": "system:serviceaccount:default:reviews"}
            status = {"authenticated": True, "user": user, "audiences": body["spec"]["audiences"]}
        return web.json_response({**body, "status": status}, status=201)

    async def collection(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        if "sendInitialEvents" in request.query:
            return web.json_response({"code": 400, "message": "unknown option"}, status=400)
        if "watch" not in request.query:
            meta = {"resourceVersion": str(self._version)}
            return web.json_response({"items": self.items(plural), "metadata": meta})
        answer = web.StreamResponse()
        await answer.prepare(request)
        queue: asyncio.Queue = asyncio.Queue()
        self._watchers.append((plural, queue))
        while True:
            await answer.write(json.dumps(await queue.get()).encode() + b"\n")

    async def apply(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/apply-patch+yaml"
        body = await request.json()
        self.writes.append(request.match_info["namespace"])
        self.put_config_map(request.match_info["namespace"], body["data"])
        return web.json_response(body)

    def put_config_map(self, namespace: str, data: dict) -> None:
        self.config_maps[namespace] = data
        self._tell("configmaps", self._object("istio-ca-root-cert", namespace, data=data))

    def add_namespace(self, name: str) -> None:
        self.namespaces[name] = {}
        self._tell("namespaces", self._object(name))

    def items(self, plural: str) -> list[dict]:
        if plural == "namespaces":
            return [self._object(name) for name in self.namespaces]
        return [self._object("istio-ca-root-cert", ns, data=data) for ns, data in self.config_maps.items()]

    def _object(self, name: str, namespace: str = "", **more: object) -> dict:
        meta = {"name": name, "namespace": namespace, "resourceVersion": str(self._version)}
        return {"metadata": meta, **more}

    def _tell(self, plural: str, obj: dict) -> None:
        self._version += 1
        for watched, queue in self._watchers:
            if watched == plural:
                queue.put_nowait({"type": "MODIFIED", "object": obj})


@asynccontextmanager
async def small_cluster() -> AsyncIterator[tuple[SmallApiServer, Access]]:
    server = SmallApiServer()
    runner = web.AppRunner(server.application(), shutdown_timeout=0.1)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield server, Access(server=f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


async def test_the_api_server_is_asked_for_our_audience_and_its_word_is_taken():
    async with small_cluster() as (server, access), Client(access) as client:
        reviewer = ClusterReviewer(client)
        assert await reviewer.review("good", "istio-ca") == Review(
            "system:serviceaccount:default:reviews", ("istio-ca",)
        )
        assert (await reviewer.review("bad", "istio-ca")).user == ""
        assert server.reviews[0] == {"token": "good", "audiences": ["istio-ca"]}


async def test_an_api_server_that_is_away_is_not_a_refusal():
    (port,) = free_ports(1)
    async with Client(Access(server=f"http://127.0.0.1:{port}")) as client:
        with pytest.raises(ReviewUnavailable, match="no answer from"):
            await ClusterReviewer(client).review("good", "istio-ca")


async def test_citadel_writes_its_root_everywhere_and_signs_for_tokens_of_its_cluster(tmp_path: Path):
    from isthmus.ca.in_cluster import run_citadel

    found(tmp_path / "ca")
    root = (tmp_path / "ca" / "root-cert.pem").read_text()
    (tmp_path / "token").write_text("good")
    port, monitoring = free_ports(2)
    settings = CitadelSettings(
        cluster="gke",
        ca_directory=tmp_path / "ca",
        host="127.0.0.1",
        port=port,
        monitoring_port=monitoring,
        extra_names=("localhost",),
    )
    async with small_cluster() as (server, access), supervise(run_citadel(settings, access)):
        await eventually(lambda: holds(server, {"default", "istio-system"}, root, tmp_path / "ca"))
        server.add_namespace("late")
        server.put_config_map("default", {"root-cert.pem": "something else"})
        await eventually(lambda: holds(server, {"default", "istio-system", "late"}, root, tmp_path / "ca"))
        mine = CertSettings(
            identity=SpiffeId("cluster.local", "default", "reviews"),
            citadel=f"localhost:{port}",
            token_file=tmp_path / "token",
            roots_file=tmp_path / "ca" / "root-cert.pem",
        )
        certificates = Certificates(mine)
        async with supervise(certificates.run()):
            held = await certificates.first()
        assert x509.names(x509.load_certificate(held.chain)).uris == (str(mine.identity),)
        assert (await fetch("GET", monitoring, "/ready")).status == 200
        metrics = (await fetch("GET", monitoring, "/metrics")).body
        assert b"citadel_server_success_cert_issuance_count " in metrics


async def holds(server: SmallApiServer, namespaces: set[str], root: str, place: Path) -> bool:
    certificate = x509.load_certificate((place / "ca-cert.pem").read_bytes())
    told = {"root-cert.pem": root, "issuer": x509.fingerprint(certificate)}
    return server.config_maps == dict.fromkeys(namespaces, told)


def settings_in(folder: Path, cluster: str = "gke") -> CitadelSettings:
    """A Citadel with a CA of its own in `folder`."""
    found(folder)
    port, monitoring = free_ports(2)
    return CitadelSettings(
        cluster=cluster, ca_directory=folder, host="127.0.0.1", port=port, monitoring_port=monitoring
    )


async def test_of_several_citadels_one_writes_and_when_it_ends_another(tmp_path: Path):
    from isthmus.ca.in_cluster import run_citadel

    stable, canary = (settings_in(tmp_path / name) for name in ("stable", "canary"))
    both = {"default", "istio-system"}

    async def are_of(citadel: CitadelSettings) -> bool:
        root = (citadel.ca_directory / "root-cert.pem").read_text()
        return await holds(server, both, root, citadel.ca_directory)

    async with small_cluster() as (server, access):
        async with supervise(run_citadel(canary, access)):
            await eventually(lambda: are_of(canary))
            waiting = asyncio.create_task(run_citadel(stable, access))
            writes = len(server.writes)
            # Were they to write in turns, each would mend what the other wrote at once.
            server.put_config_map("default", {"root-cert.pem": "something else"})
            await eventually(lambda: are_of(canary))
            await asyncio.sleep(0.3)
            assert len(server.writes) == writes + 1
            waiting.cancel()
            await asyncio.wait([waiting])
        async with supervise(run_citadel(stable, access)):
            await eventually(lambda: are_of(stable))
