"""What Pilot says of itself over HTTP: readiness, metrics, and pages for people and tools (`/debug/…`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from isthmus.debug.distribution import Distribution
from isthmus.debug.gauges import Gauges
from isthmus.debug.pages import VERSION, IstioPages, Page
from isthmus.debug.streams import SHORT, by_proxy, name_of
from isthmus.discovery.analyst import Analyst
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.holders import holders
from isthmus.kit.clock import SystemClock
from isthmus.kit.metrics import (
    ACCESS_EXPIRY,
    BUILD,
    CLUSTER_AS_OF,
    DOOR_REFUSALS,
    FINDINGS,
    PILOT_INFO,
    exposition,
)
from isthmus.kit.plain_http import NOT_FROM_OUTSIDE, Connections, HttpServer, Request, Response
from isthmus.kit.release import RELEASE
from isthmus.kit.watchable import Watchable
from isthmus.model.build import MeshBuilder
from isthmus.model.findings import Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.settings import PilotSettings
from isthmus.sidecar.certs import Held, trust_held
from isthmus.xds.fanout import Fanout
from isthmus.xds.session import Session
from isthmus.xds.status import status_of

Json = dict[str, Any]
_JSON = "application/json"


class Admin:
    """Answers about the running control plane. Nothing here changes anything."""

    def __init__(
        self,
        fleet: Fleet,
        builder: MeshBuilder,
        fanout: Fanout[Proxy],
        analyst: Analyst,
        own: Watchable[Held | None],
    ) -> None:
        self._fleet, self._builder, self._fanout, self._analyst = fleet, builder, fanout, analyst
        self._own, self._debug_for_all, self._needs_certificate = own, False, False
        self._gauges = Gauges(fleet, builder, fanout, SystemClock())
        self.is_leaving = False
        """Whether nobody is to come any more."""
        self._pages: dict[str, Page] = {
            "/debug/proxies": self._proxies,
            "/debug/clusters": self._clusters,
            "/debug/services": self._services,
            "/debug/endpoints": self._endpoints,
            "/debug/findings": self._findings,
            "/debug/trust": self._trust,
            "/debug/distribution": Distribution(fleet, builder, fanout).page,
            **IstioPages(fleet, builder, fanout).pages(),
        }

    def add(self, path: str, page: Page) -> None:
        """Show one more page."""
        self._pages[path] = page

    async def run(self, settings: PilotSettings) -> None:
        """Serve until cancelled."""
        self._debug_for_all = settings.debug_for_all
        self._needs_certificate = bool(settings.secure_grpc_port)
        PILOT_INFO.labels(version=RELEASE).set(1)
        BUILD.labels(component="pilot", tag=RELEASE).set(1)
        full = DOOR_REFUSALS.labels(door="monitoring", reason="too many connections").inc
        bounds = Connections(turned_away=full)
        await HttpServer(settings.address, settings.monitoring_port, self.answer, bounds).run()

    async def answer(self, request: Request) -> Response:
        """The answer to one request: what shows configuration is for those who may look into Pilot's pod (ADR 0029)."""
        path, _, asked = request.path.partition("?")
        path = f"/{path.lstrip('/')}"  # istioctl asks for //version
        query = {key: values[0] for key, values in parse_qs(asked).items()}
        if path == "/ready":
            return self._ready()
        if path == "/live":  # a Pilot that waits is alive, and to start it anew would not help it
            return Response(body=b"live\n")
        if path == "/version":
            return Response(body=VERSION.encode())
        if path == "/metrics":
            self._count()
            return Response(body=exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
        if path.startswith("/debug") and not (self._debug_for_all or request.is_from_within):
            DOOR_REFUSALS.labels(door="debug", reason="not over loopback").inc()
            return NOT_FROM_OUTSIDE
        if path in {"/debug", "/debug/"}:
            return _json(sorted(self._pages))
        page = self._pages.get(path)
        if page is None:
            return Response(
                404, b"there are /ready, /live, /metrics, /version and the pages that /debug lists\n"
            )
        if path == "/debug/findings":
            await self._analyst.now()
        try:
            return _json(page(query))
        except LookupError as error:
            return Response(404, f"{error.args[0]}\n".encode())

    def _ready(self) -> Response:
        """Whether proxies that come are served: when Pilots are replaced, the last one goes once another is ready."""
        if self.is_leaving:
            return Response(503, b"leaving\n")
        if self._fanout.shared.world is None:
            return Response(503, b"no mesh yet\n")
        if self._needs_certificate and self._own.value is None:
            return Response(503, b"no certificate yet\n")
        return Response(body=b"ready\n")

    @property
    def _mesh(self) -> Mesh:
        return self._builder.mesh

    def _proxies(self, _: Mapping[str, str]) -> list[Json]:
        return [_describe(sessions) for sessions in by_proxy(self._fanout).values()]

    def _clusters(self, _: Mapping[str, str]) -> Json:
        return {
            "release": RELEASE,
            "clusters": [msgspec.to_builtins(status) for status in self._fleet.status()],
            "findings": [str(each) for each in self._fleet.findings()],
        }

    def _services(self, _: Mapping[str, str]) -> list[Json]:
        return [
            {
                "hostname": service.key.hostname,
                "namespace": service.key.namespace,
                "ports": [
                    {"number": port.number, "name": port.name, "protocol": port.protocol.value}
                    for port in service.ports
                ],
                "resolution": service.resolution.value,
                "vips": {cluster: list(vips) for cluster, vips in service.vips},
                "clusters": list(service.clusters),
                "given": list(service.given),
            }
            for _, service in sorted(self._mesh.services.items())
        ]

    def _endpoints(self, query: Mapping[str, str]) -> list[Json]:
        wanted = query.get("service", "")
        return [
            {
                "service": key.hostname,
                "cluster": cluster,
                "address": endpoint.address,
                "ports": dict(endpoint.ports),
                "health": endpoint.health.value,
                "locality": str(endpoint.locality),
                "identity": str(endpoint.identity or ""),
                "workload": endpoint.workload,
                "tls": endpoint.tls,
            }
            for key, shards in sorted(self._mesh.shards.items())
            if wanted in key.hostname
            for cluster, shard in sorted(shards.items())
            for endpoint in shard.endpoints
        ]

    def _trust(self, _: Mapping[str, str]) -> Json:
        """What Pilot holds and what each proxy does: who changes roots waits for all of them."""
        own, proxies = self._own.value, holders(self._fanout.sessions, self._mesh)
        return {
            "pilot": msgspec.to_builtins(trust_held(own)) if own is not None else None,
            "proxies": msgspec.to_builtins(proxies),
        }

    def _findings(self, _: Mapping[str, str]) -> list[Json]:
        return [
            {
                "severity": each.severity.value,
                "code": each.code.number,
                "title": each.code.title,
                "object": str(each.ref),
                "cluster": each.cluster,
                "path": each.path,
                "message": each.message,
            }
            for each in self._all_findings()
        ]

    def _all_findings(self) -> list[Finding]:
        """As far as was looked for: the page of findings looks for more before it answers."""
        return [*self._fleet.findings(), *self._analyst.found]

    def _count(self) -> None:
        findings = self._all_findings()
        self._gauges.count_findings(findings)
        for severity in Severity:
            count = sum(each.severity is severity for each in findings)
            FINDINGS.labels(severity.value).set(count)
        clusters = self._fleet.status()
        CLUSTER_AS_OF.clear()  # of those that have left, too
        for status in clusters:
            CLUSTER_AS_OF.labels(status.id).set(status.as_of)
        ACCESS_EXPIRY.clear()
        for status in clusters:
            if status.access.ends is not None:
                ACCESS_EXPIRY.labels(status.id).set(status.access.ends)
        self._gauges.count()


def _describe(sessions: list[Session[Proxy]]) -> Json:
    """A proxy by its streams: where it has several for a type, the newest counts."""
    session, statuses = sessions[0], [status_of(each) for each in sessions]
    status = statuses[0]
    types = {SHORT.get(one.type_url, one.name): one for each in statuses for one in each.types}
    return {
        "name": name_of(status.proxy),
        "id": status.proxy,
        "cluster": str(session.node.metadata.get("CLUSTER_ID", "")),
        "version": status.version,
        "release": str(session.node.metadata.get("ISTHMUS_RELEASE", "")),
        "identity": list(status.identities),
        "connected": status.connected_at,
        "types": {
            name: {
                "state": each.state.name.replace("_", " "),
                "resources": each.resources,
                "rejected": list(each.rejected),
                "error": each.reason,
            }
            for name, each in types.items()
        },
    }


def _json(content: object) -> Response:
    return Response(body=msgspec.json.encode(content), content_type=_JSON)
