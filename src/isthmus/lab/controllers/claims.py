"""PersistentVolumeClaim: taken as it is. The node has a folder for each, and there are no volumes to choose from."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself

Json = dict[str, Any]
_CLAIMS = builtin("persistentvolumeclaims")


class Claims:
    """Tells each claim that it is bound."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow claims until cancelled."""
        await Reconciler("claim", self._api, {_CLAIMS: itself}, self._reconcile).run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_CLAIMS, *key)
        if found is None:
            return
        spec = found["spec"]
        wanted = (spec.get("resources") or {}).get("requests") or {}
        status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": wanted}
        await self._api.set_status(_CLAIMS, found, status)
