"""A builder and a translator: a mesh that changes step by step, and what proxies are told of it."""

from __future__ import annotations

from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.translate.generation import Translator


class Translation:
    """`now` is the generation after the newest step; `followed` the credentials that were waited for."""

    def __init__(self, *changes):
        self.builder = MeshBuilder(MeshSettings(config_cluster=ClusterId("gke")))
        self.followed = set()
        self.translator = Translator(self.followed.update)
        self.take(*changes)

    def take(self, *changes):
        """One step; returns its generation."""
        step = self.builder.apply(changes)
        self.delta = step.delta
        self.now = self.translator.generation(step.mesh, step.delta)
        return self.now

    def all(self, proxy, type_url):
        """What `proxy` is sent of a type, by name."""
        return {one.name: one for one in self.now.resources(proxy, type_url, None)}
