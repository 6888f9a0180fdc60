"""Two clusters on loopback, and a mesh that is told of them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from isthmus.discovery.registry import ClusterSpec
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, ServiceKey


class World:
    """Builds a mesh of what is put, one change at a time, and remembers the changes."""

    def __init__(self) -> None:
        self.builder = MeshBuilder(MeshSettings(config_cluster=ClusterId("east")))
        self.changes: list[Change] = []

    def put(self, change: Change) -> None:
        self.changes.append(change)
        self.builder.apply([change])

    @property
    def mesh(self):
        return self.builder.mesh

    def clusters_of(self, name, namespace="default"):
        host = f"{name}.{namespace}.svc.cluster.local"
        service = self.mesh.services.get(ServiceKey(namespace, host))
        return service.clusters if service else ()

    async def until(self, condition) -> None:
        async def holds():
            return condition(self)

        await eventually(holds)


class Cluster:
    """A served cluster under its name in the mesh."""

    def __init__(self, name, served):
        self.name, self.served, self.access = name, served, served.access
        self.create, self.apply, self.find = served.create, served.apply, served.find
        self.delete, self.set_status = served.delete, served.set_status

    def spec(self, **access) -> ClusterSpec:
        changed = msgspec.structs.replace(self.access, **access)
        return ClusterSpec(id=self.name, access=changed, source="test", is_config=self.name == "east")


def service(name, namespace="default", **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80}], **spec},
    }


@asynccontextmanager
async def two_clusters(folder, definitions=()):
    """`east`, which holds the configuration and has the definitions, and `west`; both with `istio-system`."""
    async with AsyncExitStack() as stack:
        made = []
        for name in ("east", "west"):
            (folder / name).mkdir()
            has = definitions if name == "east" else ()
            cluster = Cluster(name, await stack.enter_async_context(live_cluster(folder / name, has)))
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
            await cluster.create("namespaces", namespace)
            made.append(cluster)
        yield made
