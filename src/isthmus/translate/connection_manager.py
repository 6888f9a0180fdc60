"""The HTTP connection manager: one filter chain around `http_filters.FILTERS`, with four faces."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isthmus.envoy.types import ConfigSource, Filter, HttpConnectionManager, Rds, RouteConfiguration
from isthmus.translate import proto
from isthmus.translate.access_log import access_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.dry_run_tags import dry_run_tags
from isthmus.translate.dynamic_hosts import dynamic_filter
from isthmus.translate.guard import Checkpoint
from isthmus.translate.http_filters import FILTERS, checks, jwt_authn
from isthmus.translate.proxy_headers import apply_forwarding, apply_headers, apply_topology
from isthmus.translate.tracing import apply_tracing

NAME = "envoy.filters.network.http_connection_manager"


class Face(Enum):
    """Towards whom a connection manager stands."""

    OUTBOUND = "outbound"  # to the application beside it
    INBOUND = "inbound"  # to callers of that application
    GATEWAY = "gateway"  # to the world
    PROXY = "proxy"  # to the application beside it, which sends requests to hosts that it names


@dataclass(frozen=True, slots=True)
class Manager:
    """All that a connection manager depends on."""

    face: Face
    stat_prefix: str
    routes: RouteConfiguration | str  # as they are, or the name under which they are asked for
    conduct: Conduct
    point: Checkpoint | None = None  # where calls arrive; None: the application's own, which leave


def connection_manager(manager: Manager) -> Filter:
    """The network filter for `manager`."""
    config = HttpConnectionManager(
        stat_prefix=manager.stat_prefix,
        http_filters=[
            *(checks(manager.point) if manager.point is not None else ()),
            *(http_filter.in_chain() for http_filter in FILTERS),
        ],
        access_log=access_logs(manager.conduct, inbound=manager.face is Face.INBOUND),
        # A request is as long as it is: limits belong to routes.
        stream_idle_timeout=proto.seconds(0),
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
    if manager.point is not None:
        config.early_header_mutation_extensions.extend(jwt_authn.headers_taken_away(manager.point))
    _PATHS[manager.conduct.paths](config)
    if isinstance(manager.routes, str):
        config.rds.CopyFrom(_asked_for(manager.routes))
    else:
        config.route_config.CopyFrom(manager.routes)
    _FACES[manager.face](config)
    if manager.face is Face.PROXY or (manager.face is Face.OUTBOUND and manager.conduct.resolves):
        config.http_filters.insert(-1, dynamic_filter(manager.conduct.dns_refresh_s))
    apply_headers(config, manager.conduct.headers)
    if manager.face is Face.GATEWAY:
        apply_topology(config, manager.conduct.topology)
    elif manager.face is Face.INBOUND:
        apply_forwarding(config, manager.conduct.headers)
    side = manager.conduct.called if manager.face is Face.INBOUND else manager.conduct.caller
    apply_tracing(config, side.trace)
    if side.trace is not None and manager.point is not None:
        config.tracing.custom_tags.extend(dry_run_tags(manager.point))
    return Filter(name=NAME, typed_config=proto.any_of(config))


def _asked_for(name: str) -> Rds:
    # A listener without its routes would answer 404 to everything: it waits for them.
    source = ConfigSource(resource_api_version="V3", initial_fetch_timeout=proto.seconds(0))
    source.ads.SetInParent()
    return Rds(route_config_name=name, config_source=source)


def _outbound(config: HttpConnectionManager) -> None:
    config.server_header_transformation = config.PASS_THROUGH
    config.use_remote_address.value = False


def _proxy(config: HttpConnectionManager) -> None:
    _outbound(config)
    config.http_protocol_options.allow_absolute_url.value = True
    config.upgrade_configs.add(upgrade_type="CONNECT")


def _inbound(config: HttpConnectionManager) -> None:
    config.server_name = "istio-envoy"
    config.use_remote_address.value = False
    # Envoy drops what a caller without a certificate claims in this header.
    config.forward_client_cert_details = config.APPEND_FORWARD
    _say_who_called(config)


def _gateway(config: HttpConnectionManager) -> None:
    config.server_name = "istio-envoy"
    config.use_remote_address.value = True
    config.forward_client_cert_details = config.SANITIZE_SET
    _say_who_called(config)


def _say_who_called(config: HttpConnectionManager) -> None:
    config.set_current_client_cert_details.uri = True
    config.set_current_client_cert_details.dns = True
    config.set_current_client_cert_details.subject.value = True


_FACES = {
    Face.OUTBOUND: _outbound,
    Face.INBOUND: _inbound,
    Face.GATEWAY: _gateway,
    Face.PROXY: _proxy,
}


def _untouched(config: HttpConnectionManager) -> None:
    config.normalize_path.value = False


def _normalized(config: HttpConnectionManager) -> None:
    config.normalize_path.value = True
    config.path_with_escaped_slashes_action = config.KEEP_UNCHANGED


def _merged(config: HttpConnectionManager) -> None:
    _normalized(config)
    config.merge_slashes = True


def _decoded(config: HttpConnectionManager) -> None:
    _merged(config)
    config.path_with_escaped_slashes_action = config.UNESCAPE_AND_FORWARD


_PATHS = {
    "NONE": _untouched,
    "DEFAULT": _normalized,
    "BASE": _normalized,
    "MERGE_SLASHES": _merged,
    "DECODE_AND_MERGE_SLASHES": _decoded,
}
"""Source: Istio's MeshConfig reference, `pathNormalization`."""
