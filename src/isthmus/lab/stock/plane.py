"""Upstream's control plane of one cluster: its programs in the cluster's namespace, and what they need of a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.kit.ip import authority
from isthmus.lab.apiserver.builtin import builtin_types
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.nodes import Nodes
from isthmus.lab.apiserver.requests import Target
from isthmus.lab.apiserver.tokens import Grant
from isthmus.lab.control_plane import API_PORT, Site
from isthmus.lab.door import serve_door
from isthmus.lab.objects import Objects
from isthmus.lab.sockets import socket_factory
from isthmus.lab.stock import options
from isthmus.lab.stock.api_client import ApiClient, path_of
from isthmus.lab.stock.balancer import Balancer
from isthmus.lab.stock.kubelet_server import KubeletServer
from isthmus.lab.stock.mirror import Mirror
from isthmus.lab.stock.node_lease import NodeLease
from isthmus.lab.stock.running import Running

Json = dict[str, Any]
ETCD, API_SERVER, MANAGER = "etcd", "kube-apiserver", "kube-controller-manager"
CONTROLLERS = (
    *options.CONTROLLERS,
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "endpointslice-mirroring-controller",
    "root-ca-certificate-publisher-controller",
)
_START_LIMIT_S = 120.0
_LOOK_S = 0.1


class Stock:
    """Satisfies `ControlPlane`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.folder / "stock"
        every = "::" if any(":" in each.api_address for each in site.spec.families) else "0.0.0.0"
        self._ports = options.Ports(API_PORT, 2379, 2380, bind=every)
        self._running = Running(Path(site.spec.programs), self._folder, site.router, site.clock)
        url = f"https://{authority(site.spec.api_address, API_PORT)}"
        self._client = ApiClient(site.router, site.credentials, url)
        self._mirror = Mirror(self._client, site.clock)

    @property
    def objects(self) -> Objects:
        return self._mirror

    async def start(self, first: list[Json]) -> None:
        """Begin to serve, with the objects of `first`. Raises `RuntimeError` with what a program said."""
        self._folder.mkdir(parents=True)
        options.write_files(self._folder, self._site.credentials, self._ports)
        await self._running.start(ETCD, options.etcd_options(self._ports))
        await self.serve()
        # Elected, controllers give up when their API server is away; ours would wait up to a minute to ask it again.
        await self._running.start(MANAGER, self._manager_options(), goes_with=API_SERVER)
        for obj in first:
            await self._until(partial(self._is_made, obj), API_SERVER)
        await self._mirror.begin()

    def attend(self, nodes: Nodes) -> dict[str, Coroutine[Any, Any, None]]:
        """What keeps it alive and true, and the kubelet's door to it."""
        site = self._site
        jobs = {
            "programs": self._running.keep(),
            "mirror": self._mirror.run(),
            "balancer": Balancer(self._mirror, site.spec.balancer_address).run(),
            "node lease": NodeLease(self._client, site.spec.node, site.clock).run(),
            "kubelet's server": KubeletServer(nodes, site.credentials, site.spec, site.clock).run(
                site.router
            ),
        }
        if site.door is not None:
            jobs["door"] = serve_door(site.door.dup(), lambda: (site.router, site.spec.api_address, API_PORT))
        return jobs

    async def token(self, grant: Grant) -> tuple[str, float]:
        """A token, and when it ends."""
        return await self._mirror.token(grant)

    async def serve(self) -> None:
        """Let the API server answer (again)."""
        await self._running.start(API_SERVER, self._server_options())
        await self._until(self._client.is_ready, API_SERVER)

    async def fall_silent(self) -> None:
        """Let the API server go."""
        await self._running.end(API_SERVER)

    async def forget_history(self) -> None:
        """Compact the store; the API server's own memory of what happened ends with it."""
        now = await self._ask_store("range", {"key": "Lw=="})
        await self._ask_store("compaction", {"revision": now["header"]["revision"], "physical": True})
        if self._running.wants(API_SERVER):
            await self.fall_silent()
            await self.serve()

    async def stop(self) -> None:
        """End everything."""
        await self._running.end_all()
        await self._client.close()

    async def _until(self, condition: Callable[[], Awaitable[bool]], name: str) -> None:
        ends = self._site.clock.monotonic() + _START_LIMIT_S
        while not await condition():
            if self._running.ended(name) or self._site.clock.monotonic() > ends:
                said = self._running.said(name)
                raise RuntimeError(f"{name} of {self._site.spec.name} did not start: {said}")
            await self._site.clock.sleep(_LOOK_S)

    async def _is_made(self, obj: Json) -> bool:
        each = builtin_types().by_kind(obj["apiVersion"], obj["kind"])
        if each is None:
            raise KeyError(obj["kind"])
        try:
            await self._client.ask(
                "POST", path_of(Target(each, obj["metadata"].get("namespace", ""), "")), obj
            )
        except ApiError as error:
            return error.reason == "AlreadyExists"  # its namespace comes a moment after the first answer
        return True

    async def _ask_store(self, verb: str, body: Json) -> Json:
        connector = aiohttp.TCPConnector(socket_factory=socket_factory(self._site.router))
        url = f"http://{authority(self._ports.at, self._ports.store)}/v3/kv/{verb}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(url, json=body) as answer,
        ):
            said: Json = await answer.json(content_type=None)
            return said

    def _server_options(self) -> options.Options:
        spec = self._site.spec
        return options.apiserver_options(self._ports, [each.service_cidr for each in spec.families]) | {
            "advertise-address": spec.api_address,
            "kubelet-certificate-authority": "ca.crt",
            "kubelet-client-certificate": "kubelets.crt",
            "kubelet-client-key": "kubelets.key",
            "kubelet-preferred-address-types": "InternalIP",
        }

    def _manager_options(self) -> options.Options:
        return options.controllers_options(CONTROLLERS) | {
            "cluster-signing-cert-file": "ca.crt",
            "cluster-signing-key-file": "ca.key",
        }
