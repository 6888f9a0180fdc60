"""The lab's own control plane: an API server and controllers in this process."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.nodes import Nodes
from isthmus.lab.apiserver.served import Address, ApiServer
from isthmus.lab.apiserver.tokens import Grant
from isthmus.lab.control_plane import API_PORT, Site
from isthmus.lab.controllers import unattended
from isthmus.lab.controllers.accounts import Accounts
from isthmus.lab.controllers.claims import Claims
from isthmus.lab.controllers.cron_jobs import CronJobs
from isthmus.lab.controllers.daemon_sets import DaemonSets
from isthmus.lab.controllers.deployments import Deployments
from isthmus.lab.controllers.endpoints import EndpointsController
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.job_state import selected
from isthmus.lab.controllers.jobs import Jobs
from isthmus.lab.controllers.replicasets import ReplicaSets
from isthmus.lab.controllers.services import ServiceAddresses
from isthmus.lab.controllers.stateful_sets import StatefulSets
from isthmus.lab.objects import Objects
from isthmus.lab.sockets import listen

Json = dict[str, Any]


class Embedded:
    """Satisfies `ControlPlane`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        site.folder.mkdir(parents=True, exist_ok=True)
        self.server = ApiServer(site.credentials, site.folder / "objects.db", site.clock)
        self._garbage = Garbage(self.server.api)

    @property
    def objects(self) -> Objects:
        return self.server.api

    async def start(self, first: list[Json]) -> None:
        """Begin to serve, with the objects of `first`."""
        api, spec = self.server.api, self._site.spec
        ranges = tuple(each.service_cidr for each in spec.families)
        api.prepare["", "services"] = ServiceAddresses(api, ranges, spec.balancer_address).prepare
        prepare(api, self._garbage)
        await self.server.prepare()
        for obj in [*first, *_service_of(self._site)]:
            each = self.server.types.by_kind(obj["apiVersion"], obj["kind"])
            meta = obj["metadata"]
            if each is not None and api.find(each, meta.get("namespace", ""), meta["name"]) is None:
                await api.create(each, obj)
        await self.serve()

    def attend(self, nodes: Nodes) -> dict[str, Coroutine[Any, Any, None]]:
        """The controllers."""
        self.server.attach(nodes)
        return controllers(self.server, self._garbage)

    async def token(self, grant: Grant) -> tuple[str, float]:
        """A token, and when it ends."""
        return self.server.tokens.issue(grant)

    async def serve(self) -> None:
        """Let the API server answer (again)."""
        site = self._site
        own = [listen(site.router, each.api_address, API_PORT) for each in site.spec.families]
        doors = [site.door.dup()] if site.door is not None else []
        await self.server.start([*own, *doors], Address(site.spec.api_address, API_PORT))

    async def fall_silent(self) -> None:
        """Let the API server go."""
        await self.server.stop()

    async def forget_history(self) -> None:
        """Have no word any more of what happened up to now."""
        self.server.store.forget_history()

    async def stop(self) -> None:
        """End everything."""
        await self.server.stop()
        self.server.close()


def controllers(server: ApiServer, garbage: Garbage) -> dict[str, Coroutine[Any, Any, None]]:
    """What makes objects follow others there, by name, to be run until the end."""
    api = server.api
    return {
        "accounts": Accounts(api, server.tokens, server.credentials.ca).run(),
        "claims": Claims(api).run(),
        "cron jobs": CronJobs(api).run(),
        "daemon sets": DaemonSets(api).run(),
        "deployments": Deployments(api).run(),
        "endpoints": EndpointsController(api).run(),
        "garbage": garbage.run(),
        "jobs": Jobs(api).run(),
        "replicasets": ReplicaSets(api).run(),
        "stateful sets": StatefulSets(api).run(),
    }


def prepare(api: Api, garbage: Garbage) -> None:
    """What the API server does with objects because there are controllers, before anybody makes one."""
    api.prepare["batch", "jobs"] = selected
    api.unattended = unattended
    api.hooks.append(garbage.heard)


def _service_of(site: Site) -> list[Json]:
    """The Service by which pods call the API server, and where it leads."""
    meta = {"name": "kubernetes", "namespace": "default"}
    ports = [{"name": "https", "port": 443, "targetPort": API_PORT}]
    service = {"clusterIP": site.spec.api_service_address, "ports": ports}
    endpoints = {
        "addresses": [{"ip": site.spec.api_address}],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [endpoints]},
    ]
