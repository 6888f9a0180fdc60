"""How much the programs of a control plane log, as a ConfigMap beside them says (ADR 0050)."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit.log import log as program
from isthmus.kit.log_levels import parse_levels, set_levels
from isthmus.kit.plain_http import NOT_FROM_OUTSIDE, Request, Response
from isthmus.kit.scopes import SCOPES
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch

CONFIG_MAP, KEY = "isthmus-log-levels", "levels"
PAGE = "/debug/logging"
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)


class FollowedLevels:
    """Told by an informer. What the program was started with counts for all scopes that the ConfigMap does not name."""

    def __init__(self) -> None:
        """Made once logs are set up: the levels of now are those that the program was started with."""
        self._started = {name: each.level for name, each in SCOPES.items()}
        self._said, self._wrong = "", ""

    async def run(self, client: Client, namespace: str) -> None:
        """Follow the ConfigMap in `namespace` behind `client` until cancelled."""
        scope = Scope(namespace, fields=f"metadata.name={CONFIG_MAP}")
        await Informer(_CONFIG_MAPS, Watch(client, _CONFIG_MAPS, scope), self.seen).run()

    def seen(self, _: Ref, found: Object | InvalidConfig | None) -> None:
        """The ConfigMap came, changed or went (an informer's handler); one that is wrong changes nothing."""
        if isinstance(found, InvalidConfig):
            self._complain(str(found))
            return
        said = found.data.get(KEY, "") if isinstance(found, ConfigMap) else ""
        try:
            levels = parse_levels(said)
        except ValueError as error:
            self._complain(f"$.data.{KEY}: {error}")
            return
        set_levels(self._started | levels)
        if said != self._said:
            program.info("log levels", said=said or "as started")
        self._said, self._wrong = said, ""

    def _complain(self, why: str) -> None:
        if why != self._wrong:
            program.error("log levels cannot be used, the last good ones stay", object=CONFIG_MAP, reason=why)
        self._wrong = why

    def answer(self, request: Request) -> Response:
        """The page, for those who may look into the pod."""
        if not request.is_from_within:
            return NOT_FROM_OUTSIDE
        return Response(body=msgspec.json.encode(self.page()), content_type="application/json")

    def page(self, *_: Any) -> dict[str, Any]:
        """Each scope: what it is about, its level, and that of the start."""
        return {
            "scopes": [
                {"scope": name, "about": each.about, "level": each.level, "started": self._started[name]}
                for name, each in sorted(SCOPES.items())
            ],
            "said": self._said,
            "wrong": self._wrong,
        }
