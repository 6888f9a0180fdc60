"""What policies hold for a proxy: whom it lets in, and what callers must prove before.

Inbound listeners and those of gateways depend on it, and nothing else does: proxies of other policies share the rest.

To let a kind of policy have its effect: (1) a field of `Guard` with the policies that hold, and a line of `_KINDS`
that says how they are found; (2) a module that reads it from the `Checkpoint`: of `http_filters.CHECKS` for requests,
of `network_filters.CHECKS` for connections, or `listeners_inbound.py` itself where it is about TLS; (3) in `touches.py`
a case of `touches` that says `LISTENER: None`, and one of `concerns` for those that it selects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from isthmus.api.resource import Object, Ref
from isthmus.kit.memo import Memo
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy


class Guard(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What policies hold for callers of a proxy. Equal ones are the same object."""

    trust_domains: tuple[str, ...] = ("cluster.local",)  # whose callers are of the mesh; our own first


class Checkpoint(NamedTuple):
    """A port at which calls arrive, and what policies hold there."""

    guard: Guard
    port: int = 0  # on which the workload or gateway listens; 0: all that no service names


class Held(Protocol):
    """All policies of a kind, as `model.policies.Policies` has them."""

    def holding(self, proxy: Proxy, /) -> tuple[Any, ...]:
        """Those that hold for a proxy."""
        ...

    def asked(self, proxy: Proxy, /) -> tuple[object, ...]:
        """All of a proxy on which that depends."""
        ...


class _Kind(NamedTuple):
    kind: type[Object]
    held: Callable[[Iterable[Any], str], Held]  # made of all objects of the kind, and the root namespace


_KINDS: Mapping[str, _Kind] = {}
"""By field of `Guard`."""


class Guards:
    """Tells what holds for proxies, and remembers."""

    def __init__(self) -> None:
        self._held: Memo[Held] = Memo()
        self._holding: Memo[tuple[Any, ...]] = Memo()
        self._found: Memo[Guard] = Memo()
        self.of_views = (self._held, self._holding, self._found)

    def of(self, mesh: Mesh, proxy: Proxy) -> Guard:
        """What policies hold for callers of `proxy`."""
        domains = (mesh.settings.trust_domain, *mesh.settings.trust_domain_aliases)
        held = {field: self._holding_of(mesh, each, proxy) for field, each in _KINDS.items()}
        parts = tuple(policy for policies in held.values() for policy in policies)
        counts = tuple(map(len, held.values()))
        return self._found.get(parts, (domains, counts), lambda: Guard(trust_domains=domains, **held))

    def _holding_of(self, mesh: Mesh, each: _Kind, proxy: Proxy) -> tuple[Any, ...]:
        root, found = mesh.settings.root_namespace, mesh.config.get(each.kind.__name__, _NONE)
        held = self._held.get((found,), root, lambda: each.held(mesh.of(each.kind), root))
        return self._holding.get((held,), held.asked(proxy), lambda: held.holding(proxy))


_NONE: Mapping[Ref, Object] = {}
