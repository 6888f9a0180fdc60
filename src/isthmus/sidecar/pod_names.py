"""A pod's DNS: the table as Pilot tells it, the resolvers behind it, and where both are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from isthmus.kit.scopes import agent as log
from isthmus.kit.tasks import supervise
from isthmus.model.families import Families
from isthmus.model.name_table import TYPE_URL, NameTable, decode
from isthmus.sidecar.dns import LOOPBACK, Answerer, DnsServer
from isthmus.sidecar.dns_names import Names
from isthmus.sidecar.dns_upstream import Upstream, read_resolvers
from isthmus.sidecar.kept_answers import kept_body


class PodTable(msgspec.Struct, frozen=True, kw_only=True):
    """What names mean in a pod: what Pilot told, and how short names are asked for there."""

    namespace: str
    domain: str
    search: tuple[str, ...]
    table: NameTable

    @classmethod
    def here(cls, environment: Mapping[str, str], directory: Path = Path("/etc/istio/proxy")) -> PodTable:
        """That of the pod we run in. Raises `OSError` where nothing was told, `ValueError`."""
        return cls(
            namespace=environment.get("POD_NAMESPACE", "default"),
            domain=environment.get("ISTHMUS_DOMAIN") or "cluster.local",
            search=read_resolvers().search,
            table=decode(kept_body(directory, TYPE_URL)),
        )


class NameSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides over a pod's DNS."""

    namespace: str
    domain: str
    port: int
    envoy_port: int
    families: Families
    mark: int | None


class PodNames:
    """The DNS of a pod."""

    def __init__(self, settings: NameSettings) -> None:
        self._settings = settings
        self._upstream = Upstream(mark=settings.mark)
        self._answerer = Answerer(self._upstream)
        self._beside = Answerer(self._upstream)
        self._parts: dict[str, NameTable] = {}
        self._table = NameTable({}, {})

    async def run(self) -> None:
        """Answer until cancelled. Raises `OSError` where a port is taken."""
        servers = (
            *(
                DnsServer(self._answerer, self._settings.port, LOOPBACK[each])
                for each in self._settings.families
            ),
            DnsServer(self._beside, self._settings.envoy_port),
        )
        try:
            async with supervise(*(each.run() for each in servers)):
                await asyncio.Event().wait()
        finally:
            self._upstream.close()

    def take(self, bodies: Mapping[str, bytes]) -> None:
        """Take parts of the table that Pilot tells. Raises `ValueError` where one is none: then none is taken."""
        new, table = {name: decode(body) for name, body in bodies.items()}, self._table
        for name, part in new.items():
            before = self._parts.pop(name, NameTable())
            for held, gone in ((table.names, before.names), (table.aliases, before.aliases)):
                for host in gone:
                    held.pop(host, None)
            table.names.update(part.names)
            table.aliases.update(part.aliases)
        self._parts |= new
        settings, resolvers = self._settings, self._upstream.resolvers
        self._answerer.know(Names(table, settings.namespace, settings.domain, resolvers.search))
        log.debug("names known", names=self._known)

    @property
    def _known(self) -> int:
        return len(self._table.names) + len(self._table.aliases)

    def metrics(self) -> dict[str, float]:
        """Counts by the names of Istio's agent."""
        counts = self._answerer.counts
        return {
            "dns_requests_total": float(counts.requests),
            "dns_upstream_requests_total": float(self._upstream.asked),
            "dns_upstream_failures_total": float(self._upstream.unanswered),
            "isthmus_dns_answered_total": float(counts.answered),
            "isthmus_dns_names": float(self._known),
        }
