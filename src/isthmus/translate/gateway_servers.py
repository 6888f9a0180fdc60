"""The servers that a gateway runs: which ports it opens, and which hosts and rules are let in there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from isthmus.api.istio.gateway import GatewayConfig, Server
from isthmus.api.istio.gateway_problems import ENCRYPTED, PASSING, PLAIN_HTTP
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.names import Hostname, host_matches, resolve
from isthmus.model.rules import age
from isthmus.model.scope import View
from isthmus.model.workload import Workload
from isthmus.translate import names


class Speech(Enum):
    """What a port is for: servers that differ in it cannot share one."""

    HTTP = "HTTP"
    BYTES = "TCP"
    TLS = "TLS"


@dataclass(frozen=True, slots=True)
class Opened:
    """A server of a Gateway, on the port that the proxy listens on for it."""

    config: GatewayConfig
    server: Server
    port: int
    number: int = 0  # of the server in its Gateway

    @property
    def gateway(self) -> str:
        return f"{self.config.metadata.namespace}/{self.config.metadata.name}"

    @property
    def place(self) -> tuple[int, str]:
        """The port and address at which it listens."""
        return self.port, self.server.bind or names.ANY

    @property
    def protocol(self) -> str:
        return self.server.port.protocol.upper()

    @property
    def speech(self) -> Speech:
        if self.protocol in PLAIN_HTTP:
            return Speech.HTTP
        return Speech.TLS if self.protocol in ENCRYPTED else Speech.BYTES

    @property
    def is_http(self) -> bool:
        """Whether requests are routed: of plain text, or where HTTPS ends."""
        return self.protocol in PLAIN_HTTP or (self.protocol == "HTTPS" and self.ends_tls)

    @property
    def ends_tls(self) -> bool:
        tls = self.server.tls
        return self.protocol in ENCRYPTED and tls is not None and tls.mode not in PASSING

    @property
    def passes_tls(self) -> bool:
        """Whether TLS is routed by server name and left untouched."""
        tls = self.server.tls
        return self.protocol in ENCRYPTED and (tls is None or tls.mode == "PASSTHROUGH")

    @property
    def passes_automatically(self) -> bool:
        """Whether mutual TLS of the mesh passes to the service that its server name says."""
        return passes_automatically(self.server)

    @property
    def redirects(self) -> bool:
        """Whether requests in plain text are sent to https."""
        return self.speech is Speech.HTTP and self.server.tls is not None and self.server.tls.https_redirect

    @property
    def routes(self) -> str:
        """The name of its route configuration; those of plain HTTP share one a port."""
        if not self.ends_tls:
            return names.gateway_routes(self.port)
        meta, port = self.config.metadata, self.server.port
        return names.https_routes(port.number, port.name, meta.name, meta.namespace)

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names in TLS by which it is told from others; empty: all that nobody else has."""
        hosts = [host.rpartition("/")[2].lower() for host in self.server.hosts]
        return () if "*" in hosts or not hosts else tuple(dict.fromkeys(hosts))


def passes_automatically(server: Server) -> bool:
    """Whether it is a server between networks: mutual TLS of the mesh passes by server name."""
    return server.tls is not None and server.tls.mode == "AUTO_PASSTHROUGH"


def opened(view: View, workload: Workload | None) -> list[Opened]:
    """All servers of the view's Gateways, by port and address; those of older Gateways first.

    A Gateway names the port of the Service before the proxy; the proxy listens on its target port.
    """
    targets = {one.port.number: one.target_port for one in workload.serves} if workload else {}
    found = [
        Opened(config, server, targets.get(server.port.number, server.port.number), number)
        for config in sorted(view.gateways, key=age)
        for number, server in enumerate(config.spec.servers)
    ]
    return sorted(found, key=lambda one: one.place)


def by_place(servers: Iterable[Opened]) -> Iterator[tuple[Opened, ...]]:
    """The servers of each port and address."""
    return (tuple(group) for _, group in groupby(servers, key=lambda one: one.place))


def side_by_side(servers: Iterable[Opened]) -> Iterator[tuple[Opened, ...]]:
    """The servers of each port and address that can stand side by side: those that speak as the oldest does."""
    for several in by_place(servers):
        yield tuple(one for one in several if one.speech is several[0].speech)


def admitted(one: Opened, view: View) -> Iterator[tuple[VirtualService, tuple[Hostname, ...]]]:
    """The VirtualServices bound to the server's Gateway, with those of their hosts that it lets in."""
    for rule in view.virtual_services_of(one.config):
        namespace = rule.metadata.namespace
        hosts = [resolve(host, namespace, view.settings.domain) for host in rule.spec.hosts]
        inside = tuple(dict.fromkeys(admitted for host in hosts for admitted in _let_in(one, rule, host)))
        if inside:
            yield rule, inside


def lets_in(one: Opened, rule: VirtualService, name: str) -> bool:
    """Whether a server lets TLS for a server name in, or for some of the names that a wildcard stands for."""
    return bool(_let_in(one, rule, Hostname(name)))


def _let_in(one: Opened, rule: VirtualService, host: Hostname) -> list[Hostname]:
    """`host`, where the server lets it in whole; else those narrower hosts under it that it lets in."""
    patterns = [pattern for pattern in one.server.hosts or ("*",) if _namespace_fits(pattern, one, rule)]
    names = [pattern.rpartition("/")[2] for pattern in patterns]
    if any(name == "*" or host_matches(name, host) for name in names):
        return [host]
    return [Hostname(name) for name in names if host_matches(host, name)]


def _namespace_fits(pattern: str, one: Opened, rule: VirtualService) -> bool:
    """Whether a server's host `namespace/name` is for rules of that namespace; `.` is the Gateway's own."""
    namespace, slash, _ = pattern.rpartition("/")
    own = one.config.metadata.namespace if namespace == "." else namespace
    return not slash or own in {"*", rule.metadata.namespace}
