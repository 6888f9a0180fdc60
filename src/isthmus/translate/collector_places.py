"""Where the collectors of logs and traces are reached: by an upstream of the mesh, or by one made for them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.istio.destination_rule import ClientTLSSettings, TcpKeepalive
from isthmus.api.istio.extension_provider import Collector, ExtensionProvider
from isthmus.api.istio.proxy_config import ProxyConfig
from isthmus.envoy.types import GrpcService
from isthmus.kit.ip import host_and_port
from isthmus.model.collectors import collector, hostnames
from isthmus.model.reporting import LogTo, Reporting, TraceTo
from isthmus.model.scope import View
from isthmus.translate import names

OUTSIDE = "collector|"
"""How the names of upstreams begin that are made for collectors outside of the mesh."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a collector is reached."""

    upstream: str
    host: str
    port: int
    own: bool = False  # it is no service of the mesh: the upstream is made for it
    http2: bool = False
    tls: ClientTLSSettings | None = None
    keepalive: TcpKeepalive | None = None

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """An access log, and where its collector is, if it has one."""

    to: LogTo
    place: Place | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are traced, where the collector is, and whose spans they are where it must be told."""

    to: TraceTo
    place: Place
    service: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one side reports of calls."""

    logs: tuple[Log, ...] = ()
    trace: Trace | None = None

    @property
    def places(self) -> Iterator[Place]:
        yield from (log.place for log in self.logs if log.place is not None)
        if self.trace is not None:
            yield self.trace.place


def side_of(said: Reporting, config: ProxyConfig, view: View, service: str) -> Side:
    """What is reported, as far as its collectors can be reached."""
    logs = [*_logs(said.logs, view), *_log_services(config, view)]
    return Side(logs=tuple(logs), trace=_trace(said.trace, config, view, service))


def _logs(found: tuple[LogTo, ...], view: View) -> Iterator[Log]:
    for each in found:
        where = collector(each.provider)
        place = place_of(where, view) if where is not None else None
        if where is None or place is not None:
            yield Log(to=each, place=place)


def _log_services(config: ProxyConfig, view: View) -> Iterator[Log]:
    """Envoy's access log service, at the address that proxies are told."""
    service = config.envoy_access_log_service
    if not view.settings.listener.logs.service or service is None or not service.address:
        return
    where = host_and_port(service.address)
    if where is None:
        return
    written = {"service": where[0], "port": where[1]}
    for kind in ("envoyHttpAls", "envoyTcpAls"):
        provider = msgspec.convert({"name": "envoy_accesslog_service", kind: written}, ExtensionProvider)
        place = _any_place(Collector(service=where[0], port=where[1]), view)
        if place.own:
            tls, keepalive = service.tls_settings, service.tcp_keepalive
            place = msgspec.structs.replace(place, http2=True, tls=tls, keepalive=keepalive)
        yield Log(to=LogTo(provider=provider), place=place)


def _trace(found: TraceTo | None, config: ProxyConfig, view: View, service: str) -> Trace | None:
    if found is None:
        return None
    where = collector(found.provider)
    if where is None:
        return None
    of_proxy = found.provider.name not in {each.name for each in view.settings.listener.providers}
    place = _any_place(where, view) if of_proxy else place_of(where, view)
    if place is not None and place.own and config.tracing is not None:
        place = msgspec.structs.replace(place, tls=config.tracing.tls_settings)
    named = service if found.provider.datadog is not None else ""
    return Trace(to=found, place=place, service=named) if place is not None else None


def place_of(found: Collector, view: View) -> Place | None:
    """Where the service is that a provider names; None where the mesh has none, or not with that port."""
    for host in hostnames(found, view.settings):
        service = view.meant(host)
        if service is not None and service.port(found.port) is not None:
            upstream = names.outbound(found.port, "", service.key.hostname)
            return Place(upstream=upstream, host=host, port=found.port)
    return None


def _any_place(found: Collector, view: View) -> Place:
    """The same, or a host outside of the mesh."""
    inside = place_of(found, view)
    if inside is not None:
        return inside
    name = f"{OUTSIDE}{found.port}||{found.service}"
    return Place(upstream=name, host=found.service, port=found.port, own=True)


def grpc_service(place: Place) -> GrpcService:
    """The collector at `place`, spoken to by gRPC."""
    envoy_grpc = GrpcService.EnvoyGrpc(cluster_name=place.upstream, authority=place.host)
    return GrpcService(envoy_grpc=envoy_grpc)
