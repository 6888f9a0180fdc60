"""How a proxy conducts itself: all that its listeners depend on beside who calls whom.

Gathered from the mesh's settings, Telemetries and the proxy's own configuration. Proxies that conduct
themselves alike share one value, and so their listeners.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import TcpSettings
from isthmus.api.istio.http_route import HTTPRetry
from isthmus.api.istio.mesh_config import TlsConfig
from isthmus.api.istio.proxy_config import ProxyConfig, ProxyHeaders, Topology
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.resource import Object, Ref
from isthmus.kit.memo import Memo
from isthmus.model.families import Families
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.proxy_config import ANNOTATION, merged, read_proxy_config
from isthmus.model.reporting import CLIENT, SERVER, Reporting, reporting
from isthmus.model.scope import View
from isthmus.model.service_name import service_name
from isthmus.model.telemetries import Telemetries
from isthmus.translate.collector_places import Place, Side, side_of


class Conduct(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that listeners depend on beside who calls whom. Equal ones are the same object."""

    trust_domains: tuple[str, ...] = ("cluster.local",)
    families: Families = (4,)
    outbound_port: int = 15001
    inbound_port: int = 15006
    http_proxy_port: int = 0  # 0: none
    keeps_source: bool = False  # whether the application sees its callers' own addresses
    detection_s: float | None = None
    dns_refresh_s: float = 0.0  # how often names of hosts are asked for that nobody knows; 0: they are not
    resolves: bool = False  # those that are captured
    paths: str = "DEFAULT"
    inbound_retry: HTTPRetry | None = None
    mutual_tls: TlsConfig | None = None
    own_tls: TlsConfig | None = None  # where servers show certificates that are not the mesh's
    usual_tcp: TcpSettings = TcpSettings()  # of connections of which no DestinationRule says it
    logs_listeners: bool = True
    caller: Side = Side()
    called: Side = Side()
    headers: ProxyHeaders = ProxyHeaders()
    topology: Topology = Topology()

    @property
    def sockets(self) -> tuple[int, ...]:
        """The ports at which calls of the application, or to it, arrive; 0: no port."""
        return (self.outbound_port, self.inbound_port, self.http_proxy_port)

    @property
    def places(self) -> Iterator[Place]:
        """Where collectors are that are no services of the mesh, each once."""
        found = (*self.caller.places, *self.called.places)
        yield from {place.upstream: place for place in found if place.own}.values()


class Conducts:
    """Tells how proxies conduct themselves, and remembers."""

    def __init__(self) -> None:
        self._telemetries: Memo[Telemetries] = Memo()
        self._found: Memo[Conduct] = Memo()
        self.of_views = (self._telemetries, self._found)
        self._configs: dict[str, _Own] = {}
        self._interned: dict[bytes, Conduct] = {}

    def of(self, mesh: Mesh, view: View, proxy: Proxy) -> Conduct:
        """How `proxy` conducts itself."""
        telemetries, usual = self._of_mesh(mesh), mesh.settings.listener.proxy
        config = merged(usual, self._own(proxy).config)
        labels = proxy.labels if telemetries.by_reference else ()
        labels = labels or tuple(each for each in proxy.labels if each[0] in telemetries.labels)
        # Datadog's collector must be told by us whose spans it gets, the others learn it from the proxy.
        name = _service_name(config, proxy) if _asks_for_name(mesh, config) else ""
        asked = (proxy.kind, proxy.namespace, labels, proxy.config, name, proxy.keeps_source)
        make = partial(self._make, mesh, view, telemetries, (proxy, config, name))
        return self._found.get((view, telemetries, mesh.settings), asked, make)

    @property
    def findings(self) -> Iterator[Finding]:
        """What is wrong with what pods say of their proxies, as far as it has been asked for."""
        yield from (found for own in self._configs.values() for found in own.findings)

    def _of_mesh(self, mesh: Mesh) -> Telemetries:
        root, found = mesh.settings.root_namespace, mesh.config.get(Telemetry.__name__, _NONE)
        return self._telemetries.get((found,), root, lambda: Telemetries(mesh.of(Telemetry), root))

    def _own(self, proxy: Proxy) -> _Own:
        if not proxy.config:
            return _SILENT
        if proxy.config not in self._configs:
            if len(self._configs) > _ROOM:
                self._configs.clear()
            self._configs[proxy.config] = _read(proxy)
        return self._configs[proxy.config]

    def _make(
        self,
        mesh: Mesh,
        view: View,
        telemetries: Telemetries,
        asker: tuple[Proxy, ProxyConfig, str],
    ) -> Conduct:
        proxy, config, name = asker
        scopes = telemetries.holding(proxy)
        said: dict[str, Reporting] = {
            side: reporting(scopes, mesh.settings.listener, config, side) for side in (CLIENT, SERVER)
        }
        sides = {side: side_of(each, config, view, name) for side, each in said.items()}
        conduct = msgspec.structs.replace(_conduct(view, config, sides), keeps_source=proxy.keeps_source)
        if len(self._interned) > _ROOM:
            self._interned.clear()
        return self._interned.setdefault(msgspec.json.encode(conduct, order="deterministic"), conduct)


def _conduct(view: View, config: ProxyConfig, sides: Mapping[str, Side]) -> Conduct:
    settings, listener = view.settings, view.settings.listener
    asks_dns = view.resolves_unknown or listener.http_proxy_port
    return Conduct(
        trust_domains=settings.believed_domains,
        families=view.families,
        outbound_port=listener.outbound_port,
        inbound_port=listener.inbound_port,
        http_proxy_port=listener.http_proxy_port,
        detection_s=listener.detection_s,
        dns_refresh_s=settings.upstream.dns_refresh_s if asks_dns else 0.0,
        resolves=view.resolves_unknown,
        paths=listener.paths,
        inbound_retry=listener.inbound_retry,
        mutual_tls=listener.mutual_tls,
        own_tls=listener.own_tls,
        usual_tcp=listener.usual_tcp,
        logs_listeners=listener.logs.of_listeners,
        caller=sides[CLIENT],
        called=sides[SERVER],
        headers=config.proxy_headers or ProxyHeaders(),
        topology=config.gateway_topology or Topology(),
    )


def _service_name(config: ProxyConfig, proxy: Proxy) -> str:
    return service_name(config, dict(proxy.labels), proxy.namespace)


def _asks_for_name(mesh: Mesh, config: ProxyConfig) -> bool:
    tracing = config.tracing
    own = tracing is not None and tracing.datadog is not None
    return own or any(each.datadog is not None for each in mesh.settings.listener.providers)


class _Own(NamedTuple):
    """What a pod says of its proxy, as far as it can hold, and what is wrong with it."""

    config: ProxyConfig = ProxyConfig()
    findings: tuple[Finding, ...] = ()


def _read(proxy: Proxy) -> _Own:
    def told(path: str, message: str, code: Code) -> Finding:
        return Finding(
            ref=Ref("Pod", proxy.namespace, proxy.name),
            path=f"$.metadata.annotations[{ANNOTATION}]:{path}",
            message=message,
            severity=code.severity,
            cluster=proxy.cluster,
            code=code,
        )

    try:
        config, silent = read_proxy_config(proxy.config)
    except InvalidConfig as error:
        return _Own(findings=(told(error.path, error.message, Code.SCHEMA),))
    return _Own(config, tuple(told(*each, Code.NO_EFFECT) for each in silent))


_ROOM = 4096
_SILENT = _Own()
_NONE: Mapping[Ref, Object] = {}
