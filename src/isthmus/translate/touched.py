"""Which resources may differ after a step: from the delta, by names, without making any."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model import doors
from isthmus.model.credential_names import is_roots_name, names_of
from isthmus.model.delta import Delta
from isthmus.model.mesh import Mesh
from isthmus.model.name_table import NAME, part_of
from isthmus.model.names import ClusterId, ServiceKey, resolve
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import Views
from isthmus.translate import names
from isthmus.translate.touches import COLLECTORS, EVERYTHING, Touch, concerns, together, touches
from isthmus.translate.transition import NOTHING, ConfigIndex, Names, Transition
from isthmus.translate.types import DOORS, ENDPOINTS, LISTENER, NAMES, ROUTES, SECRET, TRUST, TYPES, UPSTREAM

Where = tuple[ClusterId, str]
"""The cluster and address of a workload."""
_OF_SETTING: dict[str, frozenset[str]] = {
    "upstream": frozenset({UPSTREAM, ENDPOINTS, LISTENER}),
    "listener": frozenset({LISTENER, UPSTREAM, ROUTES}),
    "route": frozenset({ROUTES}),
    "bundles": frozenset({TRUST, LISTENER}),
    "unknown": frozenset({UPSTREAM, LISTENER, ROUTES}),
    "exports": NOTHING,  # the objects and services themselves change
    "written": NOTHING,  # the parts say what follows from it
}
"""Which types of resources a part of the mesh's settings may change; all where it is not named."""


class Touched:
    """What a step touches, told for each class of proxies once and asked by every session."""

    def __init__(
        self, meshes: tuple[Mesh, ...], indices: tuple[ConfigIndex, ...], delta: Delta, views: Views
    ) -> None:
        self.meshes = meshes
        self._views = views
        self._step = Transition(meshes, indices)
        self._delta = delta
        concerned = delta.config.union(self._step.with_keys_from(delta.key_sets))
        self._versions = {ref: tuple(self._step.versions(ref)) for ref in concerned}
        rules = [
            each for found in self._versions.values() for each in found if isinstance(each, VirtualService)
        ]
        self._lets_in = rules if self._step.narrows else []
        """The rules that may lead proxies to what their Sidecar does not show."""
        self._sees_other: dict[tuple[object, ...], bool] = {}
        self._of_objects: dict[tuple[Ref, ProxyKind], Touch] = {}
        self._of_all: dict[ProxyKind, Touch] = {}
        self._found: dict[tuple[object, ...], Touch] = {}

    def by(self, proxy: Proxy, type_url: str) -> Names:
        """Names of the type that may differ for `proxy`, or `COLLECTORS`. It may name too much, never too little."""
        where = (proxy.cluster, proxy.address)
        asked = (proxy.namespace, proxy.labels) if self._versions else ()
        own = where if where in self._delta.workloads else None
        likes = proxy.knows_itself and self._touches_likes(where)
        led = bool(self._lets_in) and self._is_led_elsewhere(proxy)
        alike = (proxy.kind, asked, own, likes, led)
        if alike not in self._found:
            self._found[alike] = EVERYTHING if led else together(self._parts(proxy, own, likes=likes))
        return self._found[alike].get(type_url, NOTHING)

    def _is_led_elsewhere(self, proxy: Proxy) -> bool:
        """Whether it sees other services than before, for a Sidecar lets in what rules lead to."""
        place = (proxy.cluster, proxy.network, proxy.families)
        like = (proxy.kind, proxy.namespace, proxy.labels, *place)
        if like not in self._sees_other:
            concerned = any(self._concerns(each, proxy) for each in self._lets_in)
            self._sees_other[like] = concerned and self._sees_others(proxy)
        return self._sees_other[like]

    def _sees_others(self, proxy: Proxy) -> bool:
        # It is one and the same object where they are the same services.
        before, after = (self._views.view(mesh, proxy).seen for mesh in self.meshes)
        return before is not after

    def _concerns(self, found: Object, proxy: Proxy) -> bool:
        """Whether it may matter to a proxy, and its Sidecar shows it where that is rules."""
        if not concerns(found, proxy, self._step.roots):
            return False
        if not isinstance(found, VirtualService) or not self._step.narrows or not found.spec.hosts:
            return True  # those without hosts count for whoever may see the ones that lead to them
        # By the Sidecar as it is: one that has changed touches everything itself.
        mesh, namespace = self.meshes[-1], found.metadata.namespace
        horizon, domain = self._views.horizon(mesh, proxy), mesh.settings.domain
        return any(horizon.sees(namespace, resolve(host, namespace, domain)) for host in found.spec.hosts)

    def _touches_likes(self, where: Where) -> bool:
        """Whether endpoints of some service that is served there differ."""
        served = {one.service for each in self._step.workloads(where) for one in each.serves}
        return where in self._delta.workloads or not served.isdisjoint(self._delta.endpoints)

    def _parts(self, proxy: Proxy, own: Where | None, *, likes: bool) -> Iterator[Touch]:
        kind = proxy.kind
        if kind not in self._of_all:
            self._of_all[kind] = together(self._of_mesh(kind))
        yield self._of_all[kind]
        for ref, versions in self._versions.items():
            if any(self._concerns(one, proxy) for one in versions):
                yield self._of_object(ref, kind)
        if own is not None:
            yield self._of_workload(own, kind)
        if likes:
            yield {ENDPOINTS: frozenset({names.LOCAL})}

    def _of_object(self, ref: Ref, kind: ProxyKind) -> Touch:
        if (ref, kind) not in self._of_objects:
            found = (touches(one, self._step, kind) for one in self._versions[ref])
            self._of_objects[ref, kind] = together(found)
        return self._of_objects[ref, kind]

    def _of_mesh(self, kind: ProxyKind) -> Iterator[Touch]:
        """What differs for all proxies of a kind."""
        delta = self._delta
        if delta.everything:
            yield EVERYTHING
        if delta.settings:
            yield dict.fromkeys(self._of_settings())
        if delta.networks:
            yield dict.fromkeys((ENDPOINTS, UPSTREAM, LISTENER, NAMES))
        if delta.credentials:
            yield {SECRET: frozenset(name for key in delta.credentials for name in names_of(key.ref))}
            roots = frozenset(
                name
                for key in self._step.other_roots(delta.credentials)
                for name in names_of(key.ref)
                if is_roots_name(name)
            )
            yield {UPSTREAM: self._step.upstreams(self._step.believing(roots))}
            yield {LISTENER: None} if self._step.verifies_callers(roots, kind) else {}
        yield {ENDPOINTS: self._step.upstreams(delta.services | delta.endpoints)}
        if headless := self._step.headless(delta.endpoints):
            upstreams, listeners = self._step.upstreams(headless), self._step.own_listeners(headless)
            yield {UPSTREAM: upstreams, LISTENER: listeners, NAMES: _tables(headless)}
        if delta.services:
            yield from self._of_services(kind)

    def _of_services(self, kind: ProxyKind) -> Iterator[Touch]:
        keys = self._delta.services
        yield {UPSTREAM: self._step.upstreams(keys), LISTENER: self._step.listeners(keys, kind)}
        # A host's routes may lead to any service, so which hosts follow from it is not told here.
        named = keys.union(each.owner for each in self._step.services(keys))
        yield {ROUTES: None, DOORS: frozenset({doors.NAME}), NAMES: _tables(named)}
        if not self._step.collectors().isdisjoint(key.hostname for key in keys):
            yield {UPSTREAM: COLLECTORS, LISTENER: None}  # logs or traces may go another way than before

    def _of_settings(self) -> Iterator[str]:
        """The types of resources that a change of the mesh's settings touches."""
        before, after = (mesh.settings for mesh in self._step.meshes)
        for field in before.__struct_fields__:
            if getattr(before, field) is not getattr(after, field):
                yield from _OF_SETTING.get(field, TYPES)

    def _of_workload(self, where: Where, kind: ProxyKind) -> Touch:
        """What follows from what the proxy's own workload serves."""
        if kind is ProxyKind.ROUTER:
            return {LISTENER: None, ROUTES: None}  # it says which ports a gateway opens
        serves = [one for each in self._step.workloads(where) for one in each.serves]
        inbound = (make(one.target_port) for one in serves for make in (names.inbound, names.inbound_udp))
        always = {names.VIRTUAL_INBOUND, names.TUNNEL_INBOUND}
        return {
            UPSTREAM: self._step.let_in.union(inbound),
            LISTENER: self._step.by_address.union(always, self._at_doors(where)),
            DOORS: frozenset({doors.SHUT}),
        }

    def _at_doors(self, where: Where) -> Iterator[str]:
        """The listeners whose doors a pod binds itself, or did."""
        binds = {door for each in self._step.workloads(where) for door in each.binds}
        for mesh in self._step.meshes if binds else ():
            for service in mesh.services.values():
                for number, door in service.doors:
                    if door in binds:
                        yield str(names.outbound_udp(number, service.key.hostname))


def _tables(keys: frozenset[ServiceKey]) -> frozenset[str]:
    """The tables in which the names of services are: the whole, and its parts."""
    return frozenset({NAME, *(part_of(key.hostname) for key in keys)})
