"""The servers that a gateway runs: which ports it opens, and which hosts and rules are let in there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.api.istio.gateway import GatewayConfig, Server
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.names import Hostname, host_matches, resolve
from isthmus.model.scope import View
from isthmus.model.workload import Workload

_HTTP = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})


@dataclass(frozen=True, slots=True)
class Opened:
    """A server of a Gateway, on the port that the proxy listens on for it."""

    config: GatewayConfig
    server: Server
    port: int

    @property
    def gateway(self) -> str:
        return f"{self.config.metadata.namespace}/{self.config.metadata.name}"

    @property
    def is_http(self) -> bool:
        return self.server.port.protocol.upper() in _HTTP

    @property
    def passes_tls(self) -> bool:
        """Whether TLS is routed by server name and left untouched."""
        tls = self.server.tls
        protocol = self.server.port.protocol.upper()
        return protocol in {"TLS", "HTTPS"} and (tls is None or tls.mode == "PASSTHROUGH")

    @property
    def passes_automatically(self) -> bool:
        """Whether mutual TLS of the mesh passes to the service that its server name says."""
        return passes_automatically(self.server)

    @property
    def is_tcp(self) -> bool:
        return self.server.port.protocol.upper() in {"TCP", "MONGO"}


def passes_automatically(server: Server) -> bool:
    """Whether it is a server between networks: mutual TLS of the mesh passes by server name."""
    return server.tls is not None and server.tls.mode == "AUTO_PASSTHROUGH"


def opened(view: View, workload: Workload | None) -> list[Opened]:
    """All servers of the view's Gateways, in the order of their ports.

    A Gateway names the port of the Service before the proxy; the proxy listens on its target port.
    """
    targets = {one.port.number: one.target_port for one in workload.serves} if workload else {}
    found = [
        Opened(config, server, targets.get(server.port.number, server.port.number))
        for config in view.gateways
        for server in config.spec.servers
    ]
    return sorted(found, key=lambda one: one.port)


def admitted(one: Opened, view: View) -> Iterator[tuple[VirtualService, tuple[Hostname, ...]]]:
    """The VirtualServices bound to the server's Gateway, with those of their hosts that it lets in."""
    for rule in view.virtual_services_of(one.config):
        namespace = rule.metadata.namespace
        hosts = [resolve(host, namespace, view.settings.domain) for host in rule.spec.hosts]
        inside = tuple(dict.fromkeys(admitted for host in hosts for admitted in _let_in(one, rule, host)))
        if inside:
            yield rule, inside


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
