"""Custom types follow their definitions: served when one is written, gone with their objects when it goes."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.crds import CustomResources
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]
_DEFINITIONS = builtin("customresourcedefinitions", "apiextensions.k8s.io")


class CustomTypes:
    """Keeps the served types true to the CustomResourceDefinitions. Install `changed` as a hook of the API."""

    def __init__(self, api: Api, tables: Tables) -> None:
        self._api = api
        self.resources = CustomResources(api.types, api.schemas, tables)

    async def load(self) -> None:
        """Serve the types of all definitions that are there."""
        for definition in self._api.list(_DEFINITIONS).items:
            self.resources.serve(definition)

    async def changed(self, each: ResourceType, before: Json | None, after: Json | None) -> None:
        """A write happened: look whether it was one of a definition."""
        if (each.group, each.plural) != (_DEFINITIONS.group, _DEFINITIONS.plural):
            return
        if after is None:
            if before is not None:
                await self._remove(before)
            return
        if before is not None and before.get("spec") == after.get("spec"):
            return
        wanted = self.resources.with_status(after, self._api.clock.now())
        established = await self._api.set_status(_DEFINITIONS, after, wanted["status"])
        self.resources.serve(established)

    async def _remove(self, definition: Json) -> None:
        for each in self.resources.withdraw(definition):
            for obj in self._api.store.list(each):
                meta = obj["metadata"]
                self._api.store.remove(each, meta.get("namespace", ""), meta["name"])
            break  # all versions share the objects
