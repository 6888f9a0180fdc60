"""A cluster into which is installed, and what is said of it."""

from __future__ import annotations

from isthmus.console.install.applying import Role, carry_out, finish, look_ahead, plan
from isthmus.console.install.cluster import InstalledCluster
from isthmus.console.install.difference import differences
from isthmus.console.install.reading import Layer, profile, settings
from isthmus.console.install.removing import removal, remove
from isthmus.console.installation import documents

CRD = "CustomResourceDefinition"


def few(role):
    """The objects of a role, of the kinds two: what is done with one definition is done with all."""
    named = {"virtualservices.networking.istio.io", "gateways.networking.istio.io"}
    return [each for each in documents(*role) if each["kind"] != CRD or each["metadata"]["name"] in named]


class Place:
    """A cluster into which is installed."""

    def __init__(self, served, client):
        self.served, self.cluster = served, InstalledCluster(client)

    def role(self, name="primary", **spec):
        return Role(name, settings([profile("default"), Layer("t", {"cluster": "east", **spec})]))

    async def install(self, role, *, force=False, chosen=few):
        """What is said of each object."""
        said = []
        todo = await plan(self.cluster, role, chosen(role))
        await look_ahead(self.cluster, todo, force=force)
        await carry_out(self.cluster, role, todo, said.append, force=force)
        await finish(self.cluster, role, todo, said.append, force=force)
        return said

    async def diff(self, role):
        todo = await plan(self.cluster, role, few(role))
        return list(differences(todo, await look_ahead(self.cluster, todo, force=True)))

    async def uninstall(self, role, *, purge=False):
        todo = await removal(self.cluster, role, purge=purge)
        said = []
        await remove(self.cluster, todo, said.append)
        return todo, said

    async def live(self, key):
        return await self.cluster.live(key)

    async def change(self, key, **parts):
        """Be somebody else, who sets fields of an object."""
        body = {
            "apiVersion": key.api_version,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace},
        }
        await self.served.apply({**body, **parts})
