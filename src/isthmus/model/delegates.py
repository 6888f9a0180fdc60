"""Delegation: a VirtualService that leaves the routes of some of its paths to another.

Source: Istio's VirtualService reference, `Delegate`; what both say is merged as Istio merges it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.http_route import Delegate, HTTPMatchRequest, HTTPRoute, StringMatch
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.names import resolve
from isthmus.model.visibility import is_visible

V = TypeVar("V")

_INHERITED = ("rewrite", "timeout", "retries", "fault", "mirror", "mirrors", "cors_policy", "headers")
"""Fields that a delegate's route takes over from its root where it says nothing itself."""


class Wrong(NamedTuple):
    """A route that has no effect, or a part of one: the object, the path in it, why."""

    found: VirtualService
    path: str
    message: str
    lacks: str = ""  # `namespace/name` of the delegate that is not there


class Placed(NamedTuple):
    """A route of a VirtualService in which delegates are in place, and where it is written."""

    route: HTTPRoute
    root: int  # the entry of `spec.http`
    delegate: VirtualService | None = None
    inner: int = 0  # the entry of the delegate's `spec.http`
    matches: tuple[Pair, ...] = ()  # for each of the route's conditions those of root and delegate


Pair = tuple[int | None, int | None]
"""Conditions by their indices, the root's and the delegate's; None where one has no condition."""

Tell = Callable[[Wrong], None]
By = Mapping[tuple[str, str], VirtualService]
"""VirtualServices by namespace and name."""


class Conflict(Exception):
    """Two conditions that cannot hold together, or of which the delegate's is the wider one."""


def with_delegates(
    found: Sequence[VirtualService], domain: str, tell: Tell | None = None
) -> tuple[VirtualService, ...]:
    """The VirtualServices, with the routes of their delegates in place; delegates alone have no hosts.

    One without delegates stays the same object. `tell` hears of what has no effect.
    """
    by_name = _by_name(found)
    return tuple(_resolved(each, by_name, domain, tell) for each in found)


def _by_name(found: Sequence[VirtualService]) -> By:
    return {(each.metadata.namespace, each.metadata.name): each for each in found}


def _resolved(root: VirtualService, by_name: By, domain: str, tell: Tell | None) -> VirtualService:
    if not delegates(root):
        return root
    routes = tuple(each.route for each in _placed(root, by_name, domain, tell))
    return replace(root, spec=replace(root.spec, http=routes))


def delegates(root: VirtualService) -> bool:
    """Whether it leaves routes to others."""
    return any(route.delegate for route in root.spec.http)


def placed(
    root: VirtualService, found: Sequence[VirtualService], domain: str, tell: Tell | None = None
) -> tuple[Placed, ...]:
    """The routes that `with_delegates` gives `root`, in the same order, with where each is written."""
    return tuple(_placed(root, _by_name(found), domain, tell))


def _placed(root: VirtualService, by_name: By, domain: str, tell: Tell | None) -> Iterator[Placed]:
    for index, route in enumerate(root.spec.http):
        if route.delegate is None:
            yield Placed(route, index)
            continue
        found = by_name.get(_named(root, route.delegate))
        if found is None or _unfit(root, found):
            if tell is not None:
                tell(_wrong(root, index, route.delegate, by_name))
            continue
        for inner, pairs, merged in _merged(route, found, tell):
            full = _in_full(merged, found.metadata.namespace, domain)
            yield Placed(full, index, found, inner, pairs)


def _named(root: VirtualService, delegate: Delegate) -> tuple[str, str]:
    return delegate.namespace or root.metadata.namespace, delegate.name


def _unfit(root: VirtualService, found: VirtualService) -> str:
    """Why a VirtualService is no delegate of `root`; empty where it is."""
    namespace, here = found.metadata.namespace, root.metadata.namespace
    if found.spec.hosts:
        return "has hosts of its own (hint: a delegate has none)"
    if not is_visible(found.spec.export_to, namespace, here):
        return f"is not exported to {here} (hint: spec.exportTo)"
    return ""


def _wrong(root: VirtualService, index: int, delegate: Delegate, by_name: By) -> Wrong:
    """Why the delegate of an entry gives it no routes, and the one that may have been meant."""
    at, (namespace, name) = f"$.spec.http[{index}].delegate", _named(root, delegate)
    found = by_name.get((namespace, name))
    if found is not None:
        return Wrong(root, at, f"{namespace}/{name} {_unfit(root, found)}")
    fitting = sorted(key for key, each in by_name.items() if not _unfit(root, each))
    elsewhere = [of for of, other in fitting if other == name]
    near = difflib.get_close_matches(name, [other for of, other in fitting if of == namespace], 1, 0.7)
    meant = f"{elsewhere[0]}/{name}" if elsewhere else f"{namespace}/{near[0]}" if near else ""
    hint = f"did you mean {meant}?" if meant else "apply it, or say here where requests go"
    lacks = f"{namespace}/{name}"
    return Wrong(root, at, f"no VirtualService is called {lacks} (hint: {hint})", lacks)


def _in_full(route: HTTPRoute, namespace: str, domain: str) -> HTTPRoute:
    """The route with full names of hosts: short ones are of the delegate's namespace."""

    def full(destination: Destination) -> Destination:
        return replace(destination, host=resolve(destination.host, namespace, domain))

    return replace(
        route,
        route=tuple(replace(each, destination=full(each.destination)) for each in route.route),
        mirror=full(route.mirror) if route.mirror else None,
        mirrors=tuple(replace(each, destination=full(each.destination)) for each in route.mirrors),
    )


def _merged(
    root: HTTPRoute, delegate: VirtualService, tell: Tell | None
) -> Iterator[tuple[int, tuple[Pair, ...], HTTPRoute]]:
    for index, route in enumerate(delegate.spec.http):
        at = f"$.spec.http[{index}]"
        held = tuple(_matches(root.match, route.match))
        matches, pairs = tuple(match for match, _ in held), tuple(pair for _, pair in held)
        wrong = None
        if route.delegate is not None:
            wrong = Wrong(delegate, f"{at}.delegate", "is not followed: a delegate may not delegate")
        elif not matches and (root.match or route.match):
            unmet = "has no effect: no request meets it and the root's conditions"
            wrong = Wrong(delegate, f"{at}.match", unmet)
        if wrong is not None:
            if tell is not None:
                tell(wrong)
            continue
        inherited = {name: getattr(root, name) for name in _INHERITED if not getattr(route, name)}
        name = "-".join(each for each in (root.name, route.name) if each)
        yield index, pairs, replace(route, name=name, match=matches, **inherited)


def _matches(
    root: Sequence[HTTPMatchRequest], delegate: Sequence[HTTPMatchRequest]
) -> Iterator[tuple[HTTPMatchRequest, Pair]]:
    """Each way in which both hold, and of which conditions it is made."""
    if not delegate:
        yield from ((outer, (a, None)) for a, outer in enumerate(root))
    elif not root:
        yield from ((inner, (None, b)) for b, inner in enumerate(delegate))
    for a, outer in enumerate(root):
        for b, inner in enumerate(delegate):
            try:
                yield _both(outer, inner), (a, b)
            except Conflict:
                continue


def _both(root: HTTPMatchRequest, delegate: HTTPMatchRequest) -> HTTPMatchRequest:
    """The condition that holds where both do. Raises `Conflict`."""
    return HTTPMatchRequest(
        name="-".join(each for each in (root.name, delegate.name) if each),
        uri=_text(root.uri, delegate.uri),
        scheme=_text(root.scheme, delegate.scheme),
        method=_text(root.method, delegate.method),
        authority=_text(root.authority, delegate.authority),
        headers=_texts(root.headers, delegate.headers),
        port=_equal(root.port, delegate.port),
        source_labels=_alike(root.source_labels, delegate.source_labels),
        gateways=_gateways(root.gateways, delegate.gateways),
        query_params=_texts(root.query_params, delegate.query_params),
        ignore_uri_case=root.ignore_uri_case or delegate.ignore_uri_case,
        without_headers=_alike(root.without_headers, delegate.without_headers),
        source_namespace=_equal(root.source_namespace, delegate.source_namespace),
        stat_prefix=delegate.stat_prefix or root.stat_prefix,
    )


def _text(root: StringMatch | None, delegate: StringMatch | None) -> StringMatch | None:
    """The narrower one, which must be the delegate's."""
    if root is None or delegate is None or root == delegate:
        return delegate or root
    narrower = delegate.exact if delegate.exact is not None else delegate.prefix
    if root.prefix is not None and narrower is not None and narrower.startswith(root.prefix):
        return delegate
    raise Conflict


def _texts(root: Mapping[str, StringMatch], delegate: Mapping[str, StringMatch]) -> dict[str, StringMatch]:
    both = {**root, **delegate}
    for name in root.keys() & delegate.keys():
        found = _text(root[name], delegate[name])
        if found is not None:
            both[name] = found
    return both


def _alike(root: Mapping[str, V], delegate: Mapping[str, V]) -> dict[str, V]:
    """All of both, which must say the same of what both speak of."""
    if any(root[name] != delegate[name] for name in root.keys() & delegate.keys()):
        raise Conflict
    return {**root, **delegate}


def _gateways(root: tuple[str, ...], delegate: tuple[str, ...]) -> tuple[str, ...]:
    if root and not set(delegate) <= set(root):
        raise Conflict
    return delegate or root


def _equal(root: V, delegate: V) -> V:
    if root and delegate and root != delegate:
        raise Conflict
    return delegate or root
