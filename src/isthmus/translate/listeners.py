"""LDS: all listeners of a proxy by name, each remembered by what it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Ref
from isthmus.envoy.types import Listener
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Part, Versioned
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.names import ServiceKey
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import View
from isthmus.model.service import Resolution, Service
from isthmus.model.workload import Workload
from isthmus.translate import names, proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_rules import TcpRules
from isthmus.translate.destinations import destinations_of, known
from isthmus.translate.egress import unknown_upstream
from isthmus.translate.entrances import about as about_sidecar
from isthmus.translate.entrances import entrances
from isthmus.translate.gateway_servers import Opened, opened, side_by_side
from isthmus.translate.guard import Guard
from isthmus.translate.http_proxy import proxy_listener, proxy_name
from isthmus.translate.listeners_gateway import GatewayListeners
from isthmus.translate.listeners_gateway import Seen as GatewaySeen
from isthmus.translate.listeners_inbound import inbound_listener
from isthmus.translate.listeners_outbound import (
    Seen,
    Shards,
    Takers,
    port_listener,
    takers,
    virtual_outbound,
)
from isthmus.translate.listeners_passthrough import Passthrough
from isthmus.translate.listeners_sidecar import OwnListeners
from isthmus.translate.listeners_udp import Taken, datagram_listener, is_bound, name_of
from isthmus.translate.routes import about_rule
from isthmus.translate.tunnels import datagram_targets, tunnel_listener
from isthmus.translate.types import LISTENER

Found = Mapping[str, Versioned]


class Listeners:
    """Makes listeners."""

    def __init__(self) -> None:
        self.checked: Checked[Versioned] = Checked()
        self.gateways = GatewayListeners()
        self.one: Memo[Versioned | None] = Memo()
        self._ports: Memo[Found] = Memo()
        self._alike: Memo[Found] = Memo()  # of views that see a port alike
        self._parts: Memo[_PortParts] = Memo()
        self._passthrough = Passthrough()
        self._own = OwnListeners(self.checked)
        self.memos = (self.one, self._alike, *self._passthrough.layers.memos, self._own.sockets)
        self.of_views = (self._ports, self._parts, self._own.called, *self._passthrough.layers.of_views)

    def of(self, mesh: Mesh, seen: Seen, proxy: Proxy, guard: Guard) -> Found:
        """All listeners of `proxy`."""
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        view, conduct = seen
        if view.kind is ProxyKind.ROUTER:
            return self._ports.get(
                (view, conduct, guard, workload),
                "gateway",
                lambda: self._gateway((*seen, guard), opened(view, workload)),
            )
        inputs = (view, conduct, *(mesh.shards.get(key) for key in view.seen.headless))
        found = {
            **self._ports.get(inputs, "all", lambda: self._all(mesh, seen)),
            **self._with_sockets(mesh, seen, proxy, guard),
        }
        if workload is not None and workload.binds:
            for taken in filter(partial(is_bound, workload), view.datagrams):
                found.pop(name_of(taken), None)
        return found

    def _all(self, mesh: Mesh, seen: Seen) -> Found:
        ports = seen[0].ports
        found = {name: made for port in ports for name, made in self._on_port(mesh, seen, port).items()}
        return found | {
            made.name: made for each in seen[0].datagrams if (made := self._datagrams(seen, each))
        }

    def _datagrams(self, seen: Seen, taken: Taken) -> Versioned | None:
        """The listener for datagrams to a service's port."""
        (view, conduct), (service, port, door) = seen, taken
        here = known(view, service)

        def make() -> Versioned | None:
            name = name_of(taken)
            slot = Slot(LISTENER, name, service.key, (view.cluster, view.namespace, conduct))
            made = partial(datagram_listener, here, port, door, conduct)
            return self.checked.keep(slot, here.about, made, proto.sealed)

        return self.one.get((*here.parts, conduct), (port, door, view.cluster, view.namespace), make)

    def named(self, mesh: Mesh, seen: Seen, asker: tuple[Proxy, Guard], wanted: frozenset[str]) -> Found:
        """Those of `wanted` that exist."""
        (view, _), (proxy, _) = seen, asker
        if view.kind is ProxyKind.ROUTER:
            every = self.of(mesh, seen, *asker)
            return {name: every[name] for name in wanted if name in every}
        found: dict[str, Versioned] = {}
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        for each in view.datagrams:
            if name_of(each) in wanted and not is_bound(workload, each):
                made = self._datagrams(seen, each)
                if made:
                    found[made.name] = made
        for name in wanted:
            port = name.rpartition("_")[2]
            if port.isdecimal() and view.seen.on(int(port)):
                own = self._on_port(mesh, seen, int(port)).get(name)
                if own:
                    found[name] = own
        others = self._with_sockets(mesh, seen, *asker)
        found.update((name, others[name]) for name in wanted if name in others)
        return found

    def _with_sockets(self, mesh: Mesh, seen: Seen, proxy: Proxy, guard: Guard) -> Found:
        """The two listeners that captured calls arrive at, and those that a Sidecar asks for by address."""
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        (view, conduct), unknown = seen, unknown_upstream(seen[0])
        serves = workload.serves if workload else ()
        taken = entrances(serves, view.sidecar, proxy.address)
        about = about_sidecar(view.sidecar) if view.sidecar else Ref("Pod", proxy.namespace, proxy.name)

        def inbound() -> Versioned | None:
            scope = (proxy.cluster, proxy.address)
            slot = Slot(LISTENER, names.VIRTUAL_INBOUND, None, scope)
            return self.checked.keep(
                slot, about, partial(inbound_listener, taken, conduct, guard), proto.sealed
            )

        def outbound() -> Versioned | None:
            slot = Slot(LISTENER, names.VIRTUAL_OUTBOUND, None, (unknown,))
            return self.checked.keep(slot, about, lambda: virtual_outbound(conduct, unknown), proto.sealed)

        both: tuple[Versioned | None, ...] = (
            self.one.get((conduct, guard, view.sidecar), (names.VIRTUAL_INBOUND, serves), inbound),
            self.one.get((conduct,), (names.VIRTUAL_OUTBOUND, unknown), outbound),
        )
        if conduct.http_proxy_port:
            both = (*both, self._http_proxy(conduct, about))
        if workload is not None and datagram_targets(serves):
            both = (*both, self._tunnels(workload, (conduct, guard), about))
        return {**self._own.of(seen, taken, guard), **{made.name: made for made in both if made}}

    def _tunnels(self, workload: Workload, how: tuple[Conduct, Guard], about: Ref) -> Versioned | None:
        """Where datagrams arrive from other sidecars."""

        def make() -> Versioned | None:
            slot = Slot(LISTENER, names.TUNNEL_INBOUND, None, (workload.cluster, workload.address))
            return self.checked.keep(slot, about, partial(tunnel_listener, workload, *how), proto.sealed)

        return self.one.get(how, (names.TUNNEL_INBOUND, workload.serves), make)

    def _http_proxy(self, conduct: Conduct, about: Ref) -> Versioned | None:
        """Where applications send requests to hosts that they name."""
        name = proxy_name(conduct)

        def make() -> Versioned | None:
            slot = Slot(LISTENER, name, None, (conduct,))
            return self.checked.keep(slot, about, lambda: proxy_listener(conduct), proto.sealed)

        return self.one.get((conduct,), name, make)

    def _on_port(self, mesh: Mesh, seen: Seen, port: int) -> Found:
        """The listeners of a port; made anew only when who claims it, or their rules, changed."""
        view, conduct = seen
        parts = self._parts.get((view,), port, lambda: _port_parts(view, port))
        shards = tuple(mesh.shards.get(key) for key in parts.headless)
        # The first memo spares the second one's long key: views are many, what they see is often the same.
        return self._ports.get(
            (view, conduct, *shards),
            port,
            lambda: self._alike.get(
                (*parts.inputs, conduct, *shards), parts.scope, lambda: self._make_port(mesh, seen, port)
            ),
        )

    def _make_port(self, mesh: Mesh, seen: Seen, port: int) -> Found:
        made = (self._taken(seen, taker) for taker in takers(seen[0], port, mesh.shards))
        return {one.name: one for one in made if one}

    def _taken(self, seen: Seen, taker: Takers) -> Versioned | None:
        view, conduct = seen
        owners = [claim.service for claim in (taker.claim, *taker.parts) if claim is not None]
        key = owners[0].key if len(owners) == 1 else None
        slot = Slot(LISTENER, taker.name, key, (view.cluster, view.namespace, conduct))
        rules = dict(_tcp_rules(view, owners))

        def make() -> Listener:
            leads = {key: TcpRules(rule, destinations_of(view, rule)) for key, rule in rules.items()}
            return port_listener(taker, leads, view, conduct)

        own = (owners[0] if owners else view.seen.requests(taker.port).each[0][0]).ref
        about = about_rule(next(iter(rules.values()))) if rules else own
        found = self.checked.keep(slot, about, make, proto.sealed)
        if found is None and rules:
            # As with rules that cannot be read at all: the service is called as if there were none.
            slot = slot._replace(name=f"{taker.name} without rules")
            return self.checked.keep(slot, own, lambda: port_listener(taker, {}, view, conduct), proto.sealed)
        return found

    def _gateway(self, seen: GatewaySeen, servers: list[Opened]) -> Found:
        return {one.name: one for one in self._gateway_ports(seen, servers)}

    def _gateway_ports(self, seen: GatewaySeen, servers: list[Opened]) -> Iterator[Versioned]:
        view, conduct, guard = seen
        for several in side_by_side(servers):
            config = several[0].config.metadata
            port, bind = several[0].place
            name = names.listener(bind, port)
            slot = Slot(LISTENER, name, None, ("gateway", view.namespace, view.labels))
            about = Ref("Gateway", config.namespace, config.name)
            passed = tuple(self._passthrough.of(several, view, conduct, guard))
            if not passed and all(one.passes_automatically for one in several):
                continue  # Envoy takes no listener without chains: the port opens with the first service

            def seal(made: Listener, more: tuple[Part, ...] = passed) -> Versioned:
                return Versioned.joined(made.name, [Part.of(proto.body(made)), *more])

            made = self.checked.keep(slot, about, partial(self.gateways.listener, several, seen), seal)
            if made:
                yield made


def _tcp_rules(view: View, owners: Iterable[Service]) -> Iterator[tuple[ServiceKey, VirtualService]]:
    """The rules for connections to these services."""
    for owner in owners:
        rule = view.virtual_service(owner.key.hostname)
        if rule is not None and (rule.spec.tcp or rule.spec.tls):
            yield owner.key, rule


class _PortParts(NamedTuple):
    """All that the listeners of a port depend on, but for the endpoints of headless services."""

    inputs: tuple[object, ...]
    scope: tuple[object, ...]
    headless: tuple[ServiceKey, ...]


def _port_parts(view: View, port: int) -> _PortParts:
    services = tuple(service for service, _ in view.seen.connections(port))
    # Who takes requests is nothing to listeners, but to findings about them.
    first_request = view.seen.requests(port).each[:1]
    rules = tuple(view.virtual_service(service.key.hostname) for service in services)
    about_tcp = [rule for rule in rules if rule is not None and (rule.spec.tcp or rule.spec.tls)]
    leads = tuple(
        part
        for rule in about_tcp
        for known in destinations_of(view, rule).known.values()
        for part in known.parts
    )
    policies = tuple(view.destination_rule(service) for service in services)
    headless = tuple(service.key for service in services if _is_headless(service))
    return _PortParts(
        inputs=(*services, *rules, *leads, *policies, *(service for service, _ in first_request)),
        scope=(
            port,
            view.cluster,
            view.families,
            unknown_upstream(view),
            *((view.namespace, view.labels) if about_tcp else ()),
            *((view.entered,) if headless else ()),
        ),
        headless=headless,
    )


def conflicts(view: View, shards: Mapping[ServiceKey, Shards]) -> Iterator[Finding]:
    """Services that do not get the connections to an address and port that they have: others do.

    Of two that take connections the older one; where one speaks HTTP, the one that takes connections.
    """
    for port in view.ports:
        for taker in takers(view, port, shards):
            for late in taker.losers:
                if taker.bind == names.ANY and late.service.given:
                    continue  # it has an address of its own for those who ask our DNS
                yield _loses(late.service, taker, "which is older")
            for service, _ in view.seen.requests(port).each if taker.claim else ():
                if taker.bind in view.addresses(service):
                    yield _loses(service, taker, "which takes whole connections")


def _loses(service: Service, taker: Takers, why: str) -> Finding:
    winner = taker.claim.service.key if taker.claim else ""
    return Finding(
        ref=service.ref,
        message=f"port {taker.port}: connections to {taker.name} go to {winner}, {why}",
        severity=Severity.WARNING,
        code=Code.ADDRESS_TAKEN,
    )


def _is_headless(service: Service) -> bool:
    return service.resolution is Resolution.PASSTHROUGH
