"""What is wrong with an EnvoyFilter by itself: words nobody knows, matches that fit nothing, values missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.envoy_filter import (
    APPLY_TO,
    CONTEXTS,
    FILTER_CLASSES,
    OPERATIONS,
    ROUTE_ACTIONS,
    EnvoyConfigObjectPatch,
    EnvoyFilter,
    ListenerMatch,
)

MERGES = frozenset({"MERGE", "MERGE_AND_REPLACE_LIST"})
INSERTS = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"})
LISTENER_KINDS = frozenset({"LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "LISTENER_FILTER"})
ROUTE_KINDS = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})
_WHOLE = MERGES | {"ADD", "REMOVE"}
_IN_ORDER = _WHOLE | INSERTS
ALLOWED = {
    "LISTENER": _WHOLE,
    "FILTER_CHAIN": _WHOLE,
    "LISTENER_FILTER": _IN_ORDER | {"REPLACE"},
    "NETWORK_FILTER": _IN_ORDER | {"REPLACE"},
    "HTTP_FILTER": _IN_ORDER | {"REPLACE"},
    "ROUTE_CONFIGURATION": MERGES,
    "VIRTUAL_HOST": _WHOLE,
    "HTTP_ROUTE": _IN_ORDER,
    "CLUSTER": _WHOLE,
    "EXTENSION_CONFIG": frozenset({"ADD"}),
    "BOOTSTRAP": MERGES,
}
"""The operations that mean something for each kind of object."""
_MANAGERS = frozenset({"", "envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"})


def problems(found: EnvoyFilter) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    if spec.workload_selector is not None and spec.target_refs:
        yield "$.spec.targetRefs", "cannot stand beside workloadSelector (hint: leave one of them out)"
    if spec.workload_selector is not None:
        yield from texts.workloads("$.spec.workloadSelector.labels", spec.workload_selector.labels)
    for index, reference in enumerate(spec.target_refs):
        if not reference.kind or not reference.name:
            yield f"$.spec.targetRefs[{index}]", "needs kind and name"
    for index, patch in enumerate(spec.config_patches):
        yield from _patch(f"$.spec.configPatches[{index}]", patch)


def _patch(at: str, found: EnvoyConfigObjectPatch) -> Iterator[Problem]:
    known = found.apply_to in APPLY_TO
    yield from _word(f"{at}.applyTo", found.apply_to, APPLY_TO)
    yield from _word(f"{at}.match.context", found.match.context, CONTEXTS)
    if known:
        yield from _match_fits(at, found)
    if found.match.proxy is not None and found.match.proxy.proxy_version:
        yield from texts.regex(f"{at}.match.proxy.proxyVersion", found.match.proxy.proxy_version)
    if found.match.listener is not None:
        yield from _listener_match(f"{at}.match.listener", found.apply_to, found.match.listener)
    routes = found.match.route_configuration
    if routes is not None and routes.vhost is not None and routes.vhost.route is not None:
        where = f"{at}.match.routeConfiguration.vhost.route.action"
        yield from _word(where, routes.vhost.route.action, ROUTE_ACTIONS)
    yield from _operation(at, found, known=known)


def _operation(at: str, found: EnvoyConfigObjectPatch, *, known: bool) -> Iterator[Problem]:
    patch = found.patch
    if patch is None:
        yield f"{at}.patch", "is missing"
        return
    yield from _word(f"{at}.patch.filterClass", patch.filter_class, FILTER_CLASSES)
    wrong = tuple(_word(f"{at}.patch.operation", patch.operation, OPERATIONS))
    yield from wrong
    if wrong:
        return
    if known and patch.operation not in ALLOWED[found.apply_to]:
        hint = ", ".join(each for each in OPERATIONS if each in ALLOWED[found.apply_to])
        message = f"{patch.operation} means nothing for {found.apply_to} (hint: one of {hint})"
        yield f"{at}.patch.operation", message
    if patch.value is None and patch.operation != "REMOVE":
        yield f"{at}.patch.value", f"is missing (hint: what to {patch.operation.lower()})"


def _match_fits(at: str, found: EnvoyConfigObjectPatch) -> Iterator[Problem]:
    """A match must be about the kind of object that is patched."""
    match, to = found.match, found.apply_to
    given = {
        "listener": (match.listener, LISTENER_KINDS),
        "routeConfiguration": (match.route_configuration, ROUTE_KINDS),
        "cluster": (match.cluster, frozenset({"CLUSTER"})),
    }
    for name, (part, kinds) in given.items():
        if part is not None and to not in kinds:
            fitting = next((each for each, (_, of) in given.items() if to in of), "")
            hint = f" (hint: match.{fitting})" if fitting else " (hint: leave it out)"
            yield f"{at}.match.{name}", f"cannot select what {to} patches{hint}"


def _listener_match(at: str, to: str, match: ListenerMatch) -> Iterator[Problem]:
    chain = match.filter_chain
    if to == "LISTENER_FILTER" and chain is not None:
        yield f"{at}.filterChain", "does not select listener filters (hint: listenerFilter: its name)"
    if chain is None or chain.filter is None:
        return
    here = f"{at}.filterChain.filter"
    if not chain.filter.name and chain.filter.sub_filter is None:
        yield f"{here}.name", "is empty (hint: the name of the filter)"
    if chain.filter.sub_filter is not None and to != "HTTP_FILTER":
        yield f"{here}.subFilter", "is for applyTo HTTP_FILTER alone"
    if chain.filter.sub_filter is not None and chain.filter.name not in _MANAGERS:
        yield f"{here}.name", "has no HTTP filters (hint: envoy.filters.network.http_connection_manager)"


def _word(at: str, found: str, words: Sequence[str]) -> Iterator[Problem]:
    if found in words:
        return
    near = difflib.get_close_matches(found.upper(), words, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
    yield at, f"is {found!r} (hint: {hint})" if found else f"is missing (hint: {hint})"
