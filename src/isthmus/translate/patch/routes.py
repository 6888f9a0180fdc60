"""Patches of route configurations, their virtual hosts and routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from isthmus.api.istio.envoy_filter import RouteConfigurationMatch, RouteMatch, VirtualHostMatch
from isthmus.envoy.types import HttpConnectionManager, Route, RouteConfiguration, VirtualHost
from isthmus.model.proxy import ProxyKind
from isthmus.translate.patch.about import About
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.done import Done, done
from isthmus.translate.patch.merge import merge
from isthmus.translate.patch.splice import picked, splice

_NOWHERE: Mapping[str, int] = {}
_ACTIONS = {"ROUTE": "route", "REDIRECT": "redirect", "DIRECT_RESPONSE": "direct_response"}


class RoutesName(NamedTuple):
    """What the name of a route configuration says."""

    port: int  # that the proxy listens on; 0: none is said
    port_name: str = ""
    gateway: str = ""  # namespace/name
    is_inbound: bool = False


def read_name(name: str) -> RoutesName:
    """The parts of `9080`, `host:9080`, `inbound|9080||`, `http.8080`, `https.8443.port.gateway.namespace`."""
    if name.startswith("inbound|"):
        return RoutesName(_number(name.split("|")[1]), is_inbound=True)
    parts = name.split(".")
    if parts[0] == "http" and len(parts) == 2:
        return RoutesName(_number(parts[1]))
    if parts[0] == "https" and len(parts) >= 5:
        return RoutesName(_number(parts[1]), parts[2], f"{parts[-1]}/{'.'.join(parts[3:-1])}")
    return RoutesName(_number(name.rpartition(":")[2]))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


Places = Mapping[str, int]
"""Where virtual hosts stood by their names: they do so still where nobody moved them."""


def places_of(config: RouteConfiguration) -> Places:
    """Where virtual hosts stand: there may be thousands, and as many patches that name them."""
    return {host.name: index for index, host in enumerate(config.virtual_hosts)}


def patch_routes(config: RouteConfiguration, patch: Patch, about: About, places: Places = _NOWHERE) -> Done:
    """Apply `patch` to a route configuration, in place."""
    named = read_name(config.name)
    if not patch.is_in(about.context(inbound=named.is_inbound)):
        return Done.NOTHING
    match = patch.match.route_configuration
    if match is not None and not _is_selected(config, named, match, about):
        return Done.NOTHING
    host = match.vhost if match else None
    match patch.apply_to:
        case "ROUTE_CONFIGURATION":
            if patch.value is not None:
                merge(config, patch.value, replace_lists=patch.replaces_lists)
            return Done.CHANGED
        case "VIRTUAL_HOST":
            named_host = None if host is None else _hosts(config, host, places)
            return done(splice(config.virtual_hosts, patch, named_host))
    found = False
    for index in range(len(config.virtual_hosts)) if host is None else _hosts(config, host, places):
        found |= _patch_host(config.virtual_hosts[index], host.route if host else None, patch)
    return done(found)


def patch_inline_routes(manager: HttpConnectionManager, patch: Patch, about: About) -> bool:
    """Apply `patch` to the routes that stand in a connection manager; whether it found something to do."""
    if not manager.HasField("route_config"):
        return False
    return patch_routes(manager.route_config, patch, about) is not Done.NOTHING


def _is_selected(
    config: RouteConfiguration, named: RoutesName, match: RouteConfigurationMatch, about: About
) -> bool:
    if match.name not in {"", config.name}:
        return False
    if match.port_number and not about.means(match.port_number, named.port):
        return False
    if about.kind is not ProxyKind.ROUTER:
        return True
    return match.port_name in {"", named.port_name} and match.gateway in {"", named.gateway}


def _hosts(config: RouteConfiguration, match: VirtualHostMatch, places: Places) -> list[int]:
    """The indices of the virtual hosts that are meant; no two have one name, or a patch is left out for it."""
    name, hosts = match.name, config.virtual_hosts
    place = places.get(name, len(hosts))
    found: Sequence[int] = range(len(hosts))
    if place < len(hosts) and hosts[place].name == name:
        found = [place]
    elif name:
        found = [index for index, one in enumerate(hosts) if one.name == name]
    return [index for index in found if not match.domain_name or match.domain_name in hosts[index].domains]


def _patch_host(host: VirtualHost, match: RouteMatch | None, patch: Patch) -> bool:
    if match is None:
        return splice(host.routes, patch, None)
    return splice(host.routes, patch, picked(host.routes, lambda one: _is_route(one, match)))


def _is_route(route: Route, match: RouteMatch) -> bool:
    if match.name not in {"", route.name}:
        return False
    return match.action == "ANY" or route.WhichOneof("action") == _ACTIONS[match.action]
