"""CDS by name: all upstreams of a proxy, each remembered by what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from isthmus.envoy.types import Cluster
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.endpoint import EndpointShard
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.proxy import ProxyKind
from isthmus.model.scope import View
from isthmus.model.service import Resolution, Service
from isthmus.model.workload import Workload
from isthmus.translate import names, proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.conduct import Conduct
from isthmus.translate.destinations import Known, known
from isthmus.translate.dynamic_hosts import dynamic_upstreams
from isthmus.translate.entrances import Entrance, about, entrances
from isthmus.translate.layers import Layers
from isthmus.translate.names import UpstreamName
from isthmus.translate.passthrough import names_of, passes, passing_names
from isthmus.translate.tunnels import application_datagrams, datagram_targets
from isthmus.translate.types import UPSTREAM
from isthmus.translate.upstream_policy import essence
from isthmus.translate.upstreams import (
    black_hole,
    collector_upstream,
    inbound_passthrough,
    inbound_upstream,
    outbound_passthrough,
    outbound_upstream,
    passing_upstream,
)

Shards = Mapping[ServiceKey, Mapping[ClusterId, EndpointShard]]


class Upstreams:
    """Makes upstreams."""

    def __init__(self) -> None:
        self.checked: Checked[Versioned] = Checked()
        self._one: Memo[Versioned | None] = Memo()
        self._services: Memo[tuple[Versioned, ...]] = Memo()
        self._names: Memo[frozenset[str]] = Memo()
        self._own: Memo[Versioned | None] = Memo()
        self._datagrams: Memo[Versioned] = Memo()
        self._always_of: Memo[tuple[Versioned, ...]] = Memo()
        self._layers: Layers[tuple[Versioned, ...]] = Layers((), lambda view: view.settings.of_upstreams)
        self._told: Layers[tuple[str, ...]] = Layers((), lambda _: ())
        self._views: Memo[tuple[Versioned, ...]] = Memo()
        self._whole: Memo[tuple[Versioned, ...]] = Memo()
        self.memos = (
            *(self._one, self._services, self._own, self._datagrams, self._always_of),
            *(*self._layers.memos, *self._told.memos),
        )
        self.of_views = (
            *(self._views, self._names, self._whole),
            *(*self._layers.of_views, *self._told.of_views),
        )

    def all(
        self, view: View, shards: Shards, own: Workload | None, conduct: Conduct
    ) -> tuple[Versioned, ...]:
        """Every upstream of a proxy with this view of this workload: the same tuple for equal proxies."""
        outbound = self._outbound_of(view, shards)
        inbound = self._inbound(view, own, conduct)
        passing = self._views.get((view,), "passing", lambda: tuple(self._passing(view)))
        beside = (*self._always(view, conduct), *self._collectors(view, conduct), *inbound)
        every = (*outbound, *passing, *beside)
        return self._whole.get((outbound, passing, *beside), view.kind, lambda: every)

    def named(
        self, view: View, shards: Shards, own: Workload | None, conduct: Conduct, wanted: frozenset[str]
    ) -> Iterator[Versioned]:
        """Those of `wanted` that exist."""
        beside = (*self._always(view, conduct), *self._collectors(view, conduct))
        others = {one.name: one for one in (*beside, *self._inbound(view, own, conduct))}
        for name in wanted:
            parts = UpstreamName.parse(name)
            service = None
            if parts is not None and parts.direction.is_outbound and "|" in name:
                service = view.service(parts.hostname, "")
            if parts is not None and service is not None:
                found = self._outbound(_seen(view, service, shards), parts, view.settings)
            elif parts is not None and "|" not in name:
                found = self._passing_named(view, parts)
            else:
                found = others.get(name)
            if found:
                yield found

    def names(self, view: View) -> frozenset[str]:
        """The names of the upstreams whose endpoints we tell."""

        def told() -> frozenset[str]:
            names = self._told.of(view, view.seen.everything, "", _told)
            passing = frozenset(name.sni for _, name in passing_names(view))
            common = self._names.get(
                (names.common,), "", lambda: frozenset(chain.from_iterable(names.common))
            )
            return common | passing if not names.own else passing.union(chain.from_iterable(names))

        return self._names.get((view,), "", told)

    def _outbound_of(self, view: View, shards: Shards) -> tuple[Versioned, ...]:
        """The upstreams of all services: the same tuple for views that say the same of these."""
        headless = [(key, shards.get(key)) for key in view.seen.headless]

        def found() -> tuple[Versioned, ...]:
            row = view.seen.everything
            usual = self._layers.of(view, row, "", lambda view, one, _: self._usual(view, one))
            places = (row.places[key][0] for key, _ in headless)
            every = usual.over(
                {at: self._of_service(view, _seen(view, row.each[at][0], shards)) for at in places}
            )
            return self._views.get(every.inputs, tuple(every.own), lambda: tuple(chain.from_iterable(every)))

        return self._views.get((view, *(shard for _, shard in headless)), "outbound", found)

    def _usual(self, view: View, service: Service) -> tuple[Versioned, ...]:
        """Its upstreams, where these do not depend on its endpoints."""
        is_headless = service.resolution is Resolution.PASSTHROUGH
        return () if is_headless else self._of_service(view, known(view, service))

    def _of_service(self, view: View, here: Known) -> tuple[Versioned, ...]:

        def make() -> tuple[Versioned, ...]:
            made = (self._outbound(here, name, view.settings) for name in names_of(here))
            return tuple(one for one in made if one)

        return self._services.get((*here.parts, *view.settings.of_upstreams), here.facts, make)

    def _passing(self, view: View) -> Iterator[Versioned]:
        """What stands behind server names, at a gateway between networks."""
        for here, name in passing_names(view):
            if made := self._passing_one(here, name, view.settings):
                yield made

    def _passing_named(self, view: View, name: UpstreamName) -> Versioned | None:
        service = view.service(name.hostname, "")
        if service is None or not passes(view, service):
            return None
        here = known(view, service)
        return self._passing_one(here, name, view.settings) if name in names_of(here) else None

    def _passing_one(self, here: Known, name: UpstreamName, settings: MeshSettings) -> Versioned | None:
        slot = Slot(UPSTREAM, name.sni, here.service.key, (here.crosses,))

        def make() -> Versioned | None:
            return self._kept(slot, here, partial(passing_upstream, here, name, settings))

        return self._one.get((*here.parts, *settings.of_upstreams), (name.sni, here.crosses), make)

    def _outbound(self, here: Known, name: UpstreamName, settings: MeshSettings) -> Versioned | None:
        port, subset = name.port_of(here.service), here.subset(name.subset)
        if port is None or (name.subset and subset is None):
            return None

        def make() -> Versioned | None:
            slot = Slot(UPSTREAM, str(name), here.service.key, here.facts)
            return self._kept(slot, here, partial(outbound_upstream, here, name, settings))

        return self._one.get((*here.parts, *settings.of_upstreams), (name, here.facts), make)

    def _kept(self, slot: Slot, here: Known, make: Callable[..., Cluster]) -> Versioned | None:
        """What `make` makes; where its rule cannot be said and never could, what is essential of that."""
        found = self.checked.keep(slot, here.about, make, proto.sealed)
        if found is not None or here.rule is None:
            return found
        slot = slot._replace(scope=(*slot.scope, "essence"))
        return self.checked.keep(slot, here.about, partial(make, part=essence), proto.sealed)

    def _always(self, view: View, conduct: Conduct) -> tuple[Versioned, ...]:
        keeps = conduct.keeps_source
        return self._always_of.get((view.settings.upstream,), (view.kind, keeps), lambda: _fixed(view, keeps))

    def _collectors(self, view: View, conduct: Conduct) -> tuple[Versioned, ...]:
        """Those of logs and traces that are no services of the mesh."""
        settings = view.settings.upstream

        def make() -> tuple[Versioned, ...]:
            return tuple(proto.sealed(collector_upstream(place, settings)) for place in conduct.places)

        return self._always_of.get((settings, conduct), "collectors", make)

    def _inbound(self, view: View, own: Workload | None, conduct: Conduct) -> list[Versioned]:
        if own is None:
            return []
        taken = entrances(own.serves, view.sidecar, own.address)
        keeps = conduct.keeps_source
        found = [made for one in taken if (made := self._own_port(view, one, keeps))]
        return found + [self._own_datagrams(own.address, port) for port in datagram_targets(own.serves)]

    def _own_port(self, view: View, one: Entrance, keeps: bool) -> Versioned | None:
        sidecar, settings = view.sidecar, view.settings.upstream

        def make() -> Versioned | None:
            name = names.inbound(one.number)
            if sidecar is None:
                return proto.sealed(inbound_upstream(one, settings, keeps_source=keeps))
            slot = Slot(UPSTREAM, name, None, ("inbound", about(sidecar), one.to, keeps))
            upstream = partial(inbound_upstream, one, settings, keeps_source=keeps)
            return self.checked.keep(slot, about(sidecar), upstream, proto.sealed)

        # Only a pattern for its statistics makes it depend on which service leads there.
        served = one.served if settings.inbound_stat_name else None
        return self._own.get((settings, sidecar), (one.number, one.to, served, keeps), make)

    def _own_datagrams(self, address: str, port: int) -> Versioned:
        return self._datagrams.get(
            (), (address, port), lambda: proto.sealed(application_datagrams(address, port))
        )


def _seen(view: View, service: Service, shards: Shards) -> Known:
    """The service as proxies of `view` see it; of a headless one also where all that is called take mutual TLS."""
    here = known(view, service)
    if service.resolution is not Resolution.PASSTHROUGH:
        return here
    endpoints = [each for shard in shards.get(service.key, {}).values() for each in shard.endpoints]
    called = [each for each in endpoints if each.network not in view.entered]
    ports = (port.name for port in service.ports if called)
    mutual = (name for name in ports if all(each.mutual_at(name) for each in called))
    return replace(here, mutual=frozenset(mutual))


def _fixed(view: View, keeps_source: bool) -> tuple[Versioned, ...]:
    """What every proxy of the view's kind has."""
    settings = view.settings.upstream
    made = [black_hole(settings), outbound_passthrough(settings)]
    if view.kind is ProxyKind.SIDECAR:
        made.append(inbound_passthrough(settings, keeps_source=keeps_source))
    return tuple(map(proto.sealed, (*made, *dynamic_upstreams(settings))))


def _told(view: View, service: Service, _: int) -> tuple[str, ...]:
    """The names of its upstreams, if we tell their endpoints."""
    is_told = service.resolution is Resolution.ENDPOINTS
    return tuple(map(str, names_of(known(view, service)))) if is_told else ()
