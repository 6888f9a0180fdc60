"""The whole of translation behind two methods: what may differ, and the resources of a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model import health, trust_bundles
from isthmus.model.authorization_findings import authorization_findings
from isthmus.model.delta import Delta
from isthmus.model.findings import Finding
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.registration import group_in, group_ref
from isthmus.model.reporting_findings import reporting_findings
from isthmus.model.request_authentications import unknown_keys
from isthmus.model.scope import View, Views
from isthmus.model.service import Protocol
from isthmus.model.workload import Workload
from isthmus.translate import names
from isthmus.translate.assignments import MANY, LoadAssignments
from isthmus.translate.checked import exists
from isthmus.translate.conduct import Conducts
from isthmus.translate.doors import Doors
from isthmus.translate.egress import called
from isthmus.translate.gateway_conflicts import gateway_conflicts
from isthmus.translate.gateway_servers import Opened, opened, side_by_side
from isthmus.translate.guard import Guards
from isthmus.translate.header_case import HeaderCase
from isthmus.translate.listeners import Listeners, conflicts
from isthmus.translate.memory import Memory
from isthmus.translate.name_table import NameTables
from isthmus.translate.names import LOCAL
from isthmus.translate.patch.patches import Patches
from isthmus.translate.placement import Standpoint, standpoint
from isthmus.translate.route_headers import RouteHeaders
from isthmus.translate.routes import Routes
from isthmus.translate.routes_gateway import gateway_routes
from isthmus.translate.secrets import Follow, Secrets
from isthmus.translate.touched import Touched
from isthmus.translate.touches import COLLECTORS
from isthmus.translate.transition import ConfigIndex
from isthmus.translate.trust import Trust
from isthmus.translate.types import DOORS, ENDPOINTS, LISTENER, NAMES, PROBE, ROUTES, SECRET, TRUST, UPSTREAM
from isthmus.translate.upstream_set import Upstreams

Wanted = frozenset[str] | None
"""Names that are asked for; None: all there are."""


class Translator:
    """Makes generations, and remembers between them what has been made from what.

    `follow` is told which credentials proxies wait for; without it there are only those that the mesh has.
    """

    def __init__(self, follow: Follow = lambda _: None) -> None:
        self.views = Views()
        self.conducts = Conducts()
        self.guards = Guards()
        self.upstreams = Upstreams()
        self.assignments = LoadAssignments()
        self.listeners = Listeners()
        self.routes = Routes()
        self.name_tables = NameTables()
        self.secrets = Secrets(follow)
        self.trust = Trust()
        self.header_case = HeaderCase()
        self.route_headers = RouteHeaders()
        self.doors = Doors()
        self.patches = Patches()
        self.configurations: Memo[Versioned | None] = Memo()
        self.route_names: Memo[frozenset[str]] = Memo()
        self.standpoints: Memo[Standpoint] = Memo()
        self.checked = (
            self.upstreams.checked,
            self.listeners.checked,
            self.listeners.gateways.rules,
            self.routes.checked,
        )
        self._indices: Memo[ConfigIndex] = Memo()
        self._mesh = Mesh()
        self._number = 0
        self._memory = Memory(
            of_objects=(
                *self.upstreams.memos,
                *self.assignments.memos,
                *self.listeners.memos,
                *self.patches.memos,
                *self.name_tables.memos,
                *self.secrets.memos,
                self.trust.marked,
                self.header_case.kept,
                self.route_headers.changed,
                *self.routes.memos,
            ),
            of_views=(
                *self.upstreams.of_views,
                *self.assignments.of_views,
                *self.listeners.of_views,
                *self.name_tables.of_views,
                *self.doors.of_views,
                *self.routes.of_views,
                *(self.configurations, self.route_names, self.standpoints),
            ),
            of_config=(
                *self.conducts.of_views,
                *self.guards.of_views,
                *self.patches.of_views,
                *self.secrets.of_views,
            ),
            of_meshes=(*self.assignments.of_meshes, self._indices),
        )

    def generation(self, mesh: Mesh, delta: Delta) -> Generation:
        """The next generation: `mesh`, which differs from the one before it by `delta` at the most."""
        other_views = self.views.turn(mesh)
        if other_views:
            self.assignments.forget_views()
        other_config = bool(delta.everything or delta.settings or delta.services or delta.config)
        self._memory.settle(other_views=other_views, other_config=other_config)
        gone = frozenset(ref for ref in delta.config if not exists(mesh, ref))
        for checked in self.checked:
            checked.forget(gone)
            checked.sweep(mesh.services)
        self._number += 1
        steps = tuple(self._index(each) for each in (self._mesh, mesh))
        touched = Touched((self._mesh, mesh), steps, delta, self.views)
        self._mesh = mesh
        return Generation(self, mesh, self._number, touched)

    def _index(self, mesh: Mesh) -> ConfigIndex:
        return self._indices.get((mesh.config, mesh.settings), "", lambda: ConfigIndex(mesh))


class Generation:
    """One mesh, ready to be asked for the resources of any proxy. It satisfies `xds.generation`."""

    def __init__(self, translator: Translator, mesh: Mesh, number: int, touched: Touched) -> None:
        self.mesh = mesh
        self._number = number
        self._touched = touched
        self._make = translator
        self._is_patched = translator.patches.are_any(mesh)
        self._makers: Mapping[str, Callable[[Proxy, Wanted], Iterable[Versioned]]] = {
            UPSTREAM: self._upstreams,
            ENDPOINTS: self._endpoints,
            LISTENER: self._listeners,
            ROUTES: self._routes,
            NAMES: self._names,
            SECRET: self._secrets,
            DOORS: self._doors,
            PROBE: self._probe,
            TRUST: self._trust,
        }

    @property
    def number(self) -> int:
        """Grows with each generation."""
        return self._number

    def touched(self, subject: Proxy, type_url: str) -> frozenset[str] | None:
        """Names of the type that may differ for the proxy from the generation before; None: any may."""
        found = self._touched.by(subject, type_url)
        if type_url == UPSTREAM and found and found >= COLLECTORS:
            found = (found - COLLECTORS).union(self._collectors(subject))
        # What a patch adds may stand in the way of what has come, or be free now.
        if not found or not self._is_patched:
            return found
        return found | self._make.patches.additions(self.mesh, subject, type_url)

    def _collectors(self, subject: Proxy) -> Iterator[str]:
        """The upstreams of collectors outside of the mesh to which a proxy reports, or did before."""
        for mesh in self._touched.meshes:
            conduct = self._make.conducts.of(mesh, self._make.views.view(mesh, subject), subject)
            yield from (place.upstream for place in conduct.places)

    def resources(self, subject: Proxy, type_url: str, names: Wanted) -> Iterable[Versioned]:
        """The resources of a type for a proxy: all (None), or those of `names` that exist."""
        if not self._is_patched:
            return self._unpatched(subject, type_url, names)
        patches = self._make.patches
        made = patches.patched(self.mesh, subject, type_url, self._unpatched(subject, type_url, names))
        wanted = patches.additions(self.mesh, subject, type_url)
        if not wanted or (names is not None and not wanted & names):
            return made
        every = partial(self._unpatched, subject, type_url, None)
        added = patches.added(self.mesh, subject, type_url, every)
        return (*made, *(one for one in added if names is None or one.name in names))

    def unsettled(self, subject: Proxy, type_url: str, names: frozenset[str]) -> frozenset[str]:
        """Those of `names` of which it is not known yet whether they exist."""
        if type_url != SECRET:
            return frozenset()
        return self._make.secrets.unsettled(self.mesh, self._view(subject), subject, names)

    def _unpatched(self, subject: Proxy, type_url: str, names: Wanted) -> Iterable[Versioned]:
        maker = self._makers.get(type_url)
        return maker(subject, names) if maker else ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What of the mesh does not reach proxies as it was meant, as far as it has been asked for."""
        make, there = self._make, partial(exists, self.mesh)
        withheld = [found for checked in make.checked for found in checked.findings(there)]
        reports = (
            *authorization_findings(self.mesh),
            *reporting_findings(self.mesh),
            *make.conducts.findings,
            *unknown_keys(self.mesh),
        )
        more = (*reports, *make.secrets.findings(self.mesh), *make.patches.findings(self.mesh))
        return tuple(dict.fromkeys(self.mesh.told(each) for each in (*withheld, *more)))

    def conflicts(self, subject: Proxy) -> tuple[Finding, ...]:
        """Services and servers that get no connections of the proxy, since older ones have their address and port."""
        if subject.kind is ProxyKind.ROUTER:
            workload = self.mesh.workloads.get((subject.cluster, subject.address))
            return tuple(gateway_conflicts(opened(self._view(subject), workload)))
        return tuple(conflicts(self._view(subject), self.mesh.shards))

    def _view(self, proxy: Proxy) -> View:
        return self._make.views.view(self.mesh, proxy)

    def _upstreams(self, proxy: Proxy, wanted: Wanted) -> Iterable[Versioned]:
        view = self._view(proxy)
        workload = self.mesh.workloads.get((proxy.cluster, proxy.address))
        own = workload if proxy.kind is ProxyKind.SIDECAR else None
        conduct = self._make.conducts.of(self.mesh, view, proxy)
        upstreams, bundles = self._make.upstreams, self._make.secrets.bundles(self.mesh, view, proxy)
        made: Iterable[Versioned] = (
            upstreams.all(view, self.mesh.shards, own, conduct)
            if wanted is None
            else upstreams.named(view, self.mesh.shards, own, conduct, wanted)
        )
        if conduct.headers.preserve_http1_header_case:
            made = self._make.header_case.keep(made)
        return self._make.trust.upstreams(made, bundles)

    def _endpoints(self, proxy: Proxy, wanted: Wanted) -> Iterable[Versioned]:
        view = self._view(proxy)
        names = self._make.upstreams.names(view) if wanted is None else wanted
        here = self._make.standpoints.get((view, proxy), "", lambda: standpoint(view, proxy))
        assignments = self._make.assignments
        found = assignments.of(view, self.mesh, names, here, self._make.upstreams.names)
        local = proxy.knows_itself and (wanted is None or LOCAL in wanted)
        return (*found, assignments.local(self.mesh, proxy)) if local else found

    def _listeners(self, proxy: Proxy, wanted: Wanted) -> Iterable[Versioned]:
        view = self._view(proxy)
        seen = (view, self._make.conducts.of(self.mesh, view, proxy))
        listeners, guard = self._make.listeners, self._make.guards.of(self.mesh, view, proxy)
        found = (
            listeners.of(self.mesh, seen, proxy, guard)
            if wanted is None
            else listeners.named(self.mesh, seen, (proxy, guard), wanted)
        )
        bundles = self._make.secrets.bundles(self.mesh, view, proxy)
        return self._make.trust.listeners(found.values(), bundles)

    def _routes(self, proxy: Proxy, wanted: Wanted) -> Iterable[Versioned]:
        view = self._view(proxy)
        conduct = self._make.conducts.of(self.mesh, view, proxy)
        return self._make.route_headers.change(self._usual_routes(view, proxy, wanted), conduct.headers)

    def _usual_routes(self, view: View, proxy: Proxy, wanted: Wanted) -> Iterator[Versioned]:
        gateway = proxy.kind is ProxyKind.ROUTER
        if wanted is None or len(wanted) >= MANY:
            every, is_open = self._make.route_names, view.settings.route.http_proxy
            named = every.get((view.seen, view.sidecar), is_open, lambda: frozenset(_route_names(view)))
            existing = frozenset(self._gateway_route_names(proxy)) if gateway else named
            wanted = existing if wanted is None else wanted & existing
        for name in wanted:
            found = self._gateway_route(proxy, name) if gateway else self._sidecar_route(view, name)
            if found:
                yield found

    def _names(self, proxy: Proxy, wanted: Wanted) -> Iterator[Versioned]:
        found = self._make.name_tables.of(self.mesh, self._view(proxy), proxy.network)
        yield from found.values() if wanted is None else (found[name] for name in wanted if name in found)

    def _doors(self, proxy: Proxy, wanted: Wanted) -> Iterator[Versioned]:
        guard = self._make.guards.of(self.mesh, view := self._view(proxy), proxy)
        return self._make.doors.of(self.mesh, view, (proxy, guard), wanted)

    def _probe(self, proxy: Proxy, wanted: Wanted) -> Iterator[Versioned]:
        ref = group_ref(proxy)
        if ref is not None and (wanted is None or health.NAME in wanted):
            group = group_in(self.mesh, ref)
            yield Versioned.of(health.NAME, health.written(group.spec.probe if group else None))

    def _trust(self, _: Proxy, wanted: Wanted) -> Iterator[Versioned]:
        if wanted is None or trust_bundles.NAME in wanted:
            yield Versioned.of(trust_bundles.NAME, trust_bundles.written(self.mesh.settings.trusted))

    def _sidecar_route(self, view: View, name: str) -> Versioned | None:
        routes = self._make.routes
        return self._make.configurations.get((view,), name, lambda: routes.named(view, name))

    def _gateway_route(self, proxy: Proxy, name: str) -> Versioned | None:
        view = self._view(proxy)
        workload = self.mesh.workloads.get((proxy.cluster, proxy.address))

        def make() -> Versioned | None:
            servers = [one for one in _routing(view, workload) if one.routes == name]
            if not servers:
                return None
            return gateway_routes(view, servers, self._make.routes.checked)

        return self._make.configurations.get((view, workload), name, make)

    def _secrets(self, proxy: Proxy, wanted: Wanted) -> Iterable[Versioned]:
        return self._make.secrets.of(self.mesh, self._view(proxy), proxy, wanted)

    def _gateway_route_names(self, proxy: Proxy) -> Iterator[str]:
        workload = self.mesh.workloads.get((proxy.cluster, proxy.address))
        return (one.routes for one in _routing(self._view(proxy), workload))


def _routing(view: View, workload: Workload | None) -> Iterator[Opened]:
    """The servers of a gateway at which requests are routed."""
    return (one for several in side_by_side(opened(view, workload)) for one in several if one.is_http)


def _route_names(view: View) -> Iterator[str]:
    """The route configurations that the view's listeners name."""
    yield from (one.routes for one in called(view.sidecar) if one.protocol.is_http)
    if view.settings.route.http_proxy:
        yield names.HTTP_PROXY
    for port in view.ports:
        if view.seen.requests(port).each:
            yield str(port)
        for service, own in view.seen.connections(port):
            if own.protocol is Protocol.UNSPECIFIED:
                yield names.virtual_host(service.key.hostname, port)
