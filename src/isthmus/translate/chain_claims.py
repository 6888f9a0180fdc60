"""Which connections of a listener are taken already: Envoy refuses two filter chains for the same ones."""

from __future__ import annotations

from itertools import product

from isthmus.envoy.types import FilterChain, FilterChainMatch


class Claims:
    """The chains of one listener, in their order: the first that wants a connection has it."""

    def __init__(self) -> None:
        self._taken: set[tuple[str, ...]] = set()

    def free(self, chain: FilterChain) -> FilterChain | None:
        """`chain` for those of its server names that are free; None where that is none."""
        match = chain.filter_chain_match
        wanted = list(match.server_names) or [""]
        left = [name for name in wanted if self._taken.isdisjoint(_points(match, name))]
        if not left:
            return None
        for name in left:
            self._taken.update(_points(match, name))
        if len(left) == len(wanted):
            return chain
        narrowed = FilterChain()
        narrowed.CopyFrom(chain)
        narrowed.filter_chain_match.server_names[:] = left
        return narrowed


def _points(match: FilterChainMatch, name: str) -> set[tuple[str, ...]]:
    """What a chain asks of a connection, one for each way in which it may be met."""
    to = [f"{each.address_prefix}/{each.prefix_len.value}" for each in match.prefix_ranges] or [""]
    source = [f"{each.address_prefix}/{each.prefix_len.value}" for each in match.source_prefix_ranges] or [""]
    spoken = [match.transport_protocol]
    return set(product([name], to, source, spoken, list(match.application_protocols) or [""]))
