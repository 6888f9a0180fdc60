"""What policies hold for a proxy: whom it lets in, and what callers must prove before.

Inbound listeners and those of gateways depend on it, and nothing else does: proxies of other policies share the rest.

To let a kind of policy have its effect: (1) a field of `Guard` with the policies that hold, and a line of `_KINDS`
that says how they are found; (2) a module that reads it from the `Checkpoint`: of `http_filters.CHECKS` for requests,
of `network_filters.CHECKS` for connections, or `listeners_inbound.py` itself where it is about TLS; (3) in `touches.py`
a case of `touches` that says `LISTENER: None`, and one of `concerns` for those that it selects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.resource import Object, Ref
from isthmus.kit.memo import Memo
from isthmus.model.authorization_policies import AuthorizationPolicies, Governing, governing
from isthmus.model.cluster_domains import Domains
from isthmus.model.collectors import collector
from isthmus.model.key_source import keys_at, sources_of
from isthmus.model.mesh import Mesh
from isthmus.model.peer_authentications import PeerAuthentications
from isthmus.model.policies import Policies
from isthmus.model.proxy import Proxy
from isthmus.model.request_authentications import Issuer, issuers
from isthmus.model.scope import View
from isthmus.translate.authorization.external import Authorizer
from isthmus.translate.collector_places import place_of


class Guard(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What policies hold for callers of a proxy. Equal ones are the same object."""

    trust_domains: tuple[str, ...] = ("cluster.local",)  # whose callers are of the mesh; our own first
    cluster_domains: Domains = ()  # and those of single clusters
    peers: tuple[PeerAuthentication, ...] = ()  # on which terms they come; the widest first
    authorization: tuple[Governing, ...] = ()
    authorizers: tuple[Authorizer, ...] = ()  # whom policies ask, as far as they are there
    authentications: tuple[RequestAuthentication, ...] = ()
    issuers: tuple[Issuer, ...] = ()  # of these, with the keys by which their tokens are believed


class Checkpoint(NamedTuple):
    """A port at which calls arrive, and what policies hold there."""

    guard: Guard
    port: int = 0  # on which the workload or gateway listens; 0: all that no service names
    passes: bool = (
        False  # whether mutual TLS of the mesh passes, and what is for everybody is kept where it ends
    )
    datagrams: Mapping[str, int] | None = (
        None  # where tunnels end: the ports of the workload by the paths for them
    )


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


_KINDS: Mapping[str, _Kind] = {
    "peers": _Kind(PeerAuthentication, PeerAuthentications),
    "authentications": _Kind(RequestAuthentication, Policies[RequestAuthentication]),
    "authorization": _Kind(AuthorizationPolicy, AuthorizationPolicies),
}
"""By field of `Guard`."""


class Guards:
    """Tells what holds for proxies, and remembers."""

    def __init__(self) -> None:
        self._held: Memo[Held] = Memo()
        self._holding: Memo[tuple[Any, ...]] = Memo()
        self._found: Memo[Guard] = Memo()
        self.of_views = (self._held, self._holding, self._found)

    def of(self, mesh: Mesh, view: View, proxy: Proxy) -> Guard:
        """What policies hold for callers of `proxy`."""
        domains, of_clusters = mesh.settings.own_domains, mesh.settings.cluster_domains
        held = {field: self._holding_of(mesh, each, proxy) for field, each in _KINDS.items()}
        rules = tuple(governing(held.pop("authorization"), proxy, mesh))
        parts = tuple(policy for policies in held.values() for policy in policies)
        asked = tuple(_authorizers(rules, view))
        names = (
            domains,
            of_clusters,
            tuple(map(len, held.values())),
            tuple(each.ports for each in rules),
            tuple(each.place for each in asked),
        )
        providers = tuple(each.provider for each in asked)
        tokens = held["authentications"]
        keys = tuple(keys_at(source, mesh.key_sets) for each in tokens for source in sources_of(each))
        return self._found.get(
            (*parts, *(each.policy for each in rules), *providers, *keys),
            names,
            lambda: Guard(
                trust_domains=domains,
                cluster_domains=of_clusters,
                authorization=rules,
                authorizers=asked,
                issuers=issuers(tokens, mesh.key_sets),
                **held,
            ),
        )

    def _holding_of(self, mesh: Mesh, each: _Kind, proxy: Proxy) -> tuple[Any, ...]:
        root, found = mesh.settings.root_namespace, mesh.config.get(each.kind.__name__, _NONE)
        held = self._held.get((found,), root, lambda: each.held(mesh.of(each.kind), root))
        return self._holding.get((held,), held.asked(proxy), lambda: held.holding(proxy))


def _authorizers(rules: Iterable[Governing], view: View) -> Iterator[Authorizer]:
    """The providers that rules ask: those that can be asked, and reached."""
    named = {each.policy.spec.provider.name for each in rules if each.policy.spec.provider is not None}
    for provider in view.settings.listener.providers if named else ():
        is_asked = provider.envoy_ext_authz_http is not None or provider.envoy_ext_authz_grpc is not None
        where = collector(provider) if is_asked and provider.name in named else None
        place = place_of(where, view) if where is not None else None
        if place is not None:
            yield Authorizer(provider, place)


_NONE: Mapping[Ref, Object] = {}
