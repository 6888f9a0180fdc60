"""Patches of listeners: themselves, their listener filters, and all that is in their chains."""

from __future__ import annotations

from isthmus.api.istio.envoy_filter_problems import ROUTE_KINDS
from isthmus.envoy.types import HttpConnectionManager, Listener
from isthmus.translate.patch.about import About
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.done import Done, done
from isthmus.translate.patch.filter_chains import VIRTUAL, patch_filter_chains, selected_chains
from isthmus.translate.patch.http_filters import patch_http_filters
from isthmus.translate.patch.merge import merge
from isthmus.translate.patch.names import means
from isthmus.translate.patch.network_filters import patch_network_filters, wanted_filter, within_managers
from isthmus.translate.patch.routes import patch_inline_routes
from isthmus.translate.patch.splice import picked, splice

_INBOUND = Listener(traffic_direction="INBOUND").traffic_direction


def patch_listener(listener: Listener, patch: Patch, about: About) -> Done:
    """Apply `patch` to a listener, in place."""
    context = about.context(inbound=listener.traffic_direction == _INBOUND)
    if not patch.is_in(context):
        return Done.NOTHING
    if patch.apply_to in ROUTE_KINDS:
        return done(_inline_routes(listener, patch, about))
    if not _is_selected(listener, patch, about):
        return Done.NOTHING
    match patch.apply_to:
        case "LISTENER":
            return _whole(listener, patch)
        case "LISTENER_FILTER":
            return done(_listener_filters(listener, patch))
        case "FILTER_CHAIN":
            return done(patch_filter_chains(listener, patch, about))
    return done(_within_chains(listener, patch, about))


def _is_selected(listener: Listener, patch: Patch, about: About) -> bool:
    match = patch.match.listener
    if match is None:
        return True
    if match.name not in {"", listener.name}:
        return False
    if patch.apply_to not in {"LISTENER", "LISTENER_FILTER"} and listener.name in VIRTUAL:
        return True  # the port is that of a chain
    port = listener.address.socket_address.port_value
    return match.port_number == 0 or about.means(match.port_number, port)


def _whole(listener: Listener, patch: Patch) -> Done:
    if patch.operation == "REMOVE":
        return Done.REMOVED
    if patch.operation == "ADD" or patch.value is None:
        return Done.NOTHING
    merge(listener, patch.value, replace_lists=patch.replaces_lists)
    return Done.CHANGED


def _listener_filters(listener: Listener, patch: Patch) -> bool:
    wanted = patch.match.listener.listener_filter if patch.match.listener else ""
    filters = listener.listener_filters
    return splice(filters, patch, picked(filters, lambda one: means(wanted, one.name)) if wanted else None)


def _within_chains(listener: Listener, patch: Patch, about: About) -> bool:
    found = False
    for chain in selected_chains(listener, patch, about):
        if patch.apply_to == "NETWORK_FILTER":
            found |= patch_network_filters(chain, patch)
        else:
            found |= within_managers(
                chain, wanted_filter(patch), lambda manager: patch_http_filters(manager, patch)
            )
    return found


def _inline_routes(listener: Listener, patch: Patch, about: About) -> bool:
    def change(manager: HttpConnectionManager) -> bool:
        return patch_inline_routes(manager, patch, about)

    found = False
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        found |= within_managers(chain, "", change)
    return found
