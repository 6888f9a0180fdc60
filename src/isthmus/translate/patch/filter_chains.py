"""Patches of a listener's filter chains: which are meant, and the chains themselves."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.envoy.types import FilterChain, Listener
from isthmus.translate.names import VIRTUAL_INBOUND, VIRTUAL_OUTBOUND
from isthmus.translate.patch.about import About
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.merge import merge
from isthmus.translate.patch.splice import picked, splice

VIRTUAL = frozenset({VIRTUAL_INBOUND, VIRTUAL_OUTBOUND})
"""Listeners of captured traffic: the ports that they are for stand in their chains."""


def selected_chains(listener: Listener, patch: Patch, about: About) -> Iterator[FilterChain]:
    """The chains that the patch selects, the default one last."""
    for chain in _chains(listener):
        if _is_selected(listener, chain, patch, about):
            yield chain


def patch_filter_chains(listener: Listener, patch: Patch, about: About) -> bool:
    """Apply `patch` to the listener's chains; whether it found something to do."""
    chains = listener.filter_chains
    named = picked(chains, lambda chain: _is_selected(listener, chain, patch, about))
    found = splice(chains, patch, named)
    if patch.operation == "ADD" or not listener.HasField("default_filter_chain"):
        return found
    default = listener.default_filter_chain
    if not _is_selected(listener, default, patch, about):
        return found
    if patch.operation == "REMOVE":
        listener.ClearField("default_filter_chain")
    elif patch.value is not None:
        merge(default, patch.value, replace_lists=patch.replaces_lists)
    return True


def _chains(listener: Listener) -> Iterator[FilterChain]:
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


def _is_selected(listener: Listener, chain: FilterChain, patch: Patch, about: About) -> bool:
    match = patch.match.listener
    if match is None:
        return True
    port = chain.filter_chain_match.destination_port.value
    if listener.name in VIRTUAL and match.port_number and not (port and about.means(match.port_number, port)):
        return False
    wanted, held = match.filter_chain, chain.filter_chain_match
    if wanted is None:
        return True
    offered = [each.strip() for each in wanted.application_protocols.split(",") if each.strip()]
    return (
        wanted.name in {"", chain.name}
        and (not wanted.sni or wanted.sni in held.server_names)
        and wanted.transport_protocol in {"", held.transport_protocol}
        and set(offered) <= set(held.application_protocols)
        and wanted.destination_port in {0, port}
    )
