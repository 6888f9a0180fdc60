"""Patches of network filters, and what is within connection managers among them."""

from __future__ import annotations

from collections.abc import Callable

from isthmus.envoy.types import Filter, FilterChain, HttpConnectionManager
from isthmus.translate import proto
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.names import means
from isthmus.translate.patch.phases import insert_plugin
from isthmus.translate.patch.soundness import ends_chain
from isthmus.translate.patch.splice import picked, splice

_MANAGER = ".HttpConnectionManager"


def patch_network_filters(chain: FilterChain, patch: Patch) -> bool:
    """Apply `patch` to the chain's filters; whether it found something to do."""
    if patch.phase:
        return insert_plugin(chain.filters, patch)
    wanted = wanted_filter(patch)
    filters = chain.filters

    def place(_: Patch) -> int:
        return next((i for i, each in enumerate(filters) if ends_chain(each)), len(filters))

    if not wanted:
        return splice(filters, patch, None, place)
    return splice(filters, patch, picked(filters, lambda one: means(wanted, one.name)), place)


def wanted_filter(patch: Patch) -> str:
    """The name of the network filter that the patch selects; empty: any."""
    listener = patch.match.listener
    chain = listener.filter_chain if listener else None
    return chain.filter.name if chain and chain.filter else ""


def within_managers(chain: FilterChain, wanted: str, change: Callable[[HttpConnectionManager], bool]) -> bool:
    """Apply `change` to the connection managers of a chain; whether it found something to do in any."""
    found = False
    for each in chain.filters:
        if each.typed_config.type_url.endswith(_MANAGER) and (not wanted or means(wanted, each.name)):
            found |= _within(each, change)
    return found


def _within(one: Filter, change: Callable[[HttpConnectionManager], bool]) -> bool:
    manager = HttpConnectionManager.FromString(one.typed_config.value)
    if not change(manager):
        return False
    one.typed_config.CopyFrom(proto.any_of(manager))
    return True
