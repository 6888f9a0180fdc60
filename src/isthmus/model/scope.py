"""What a class of proxies sees of the mesh: the services and rules that translation needs, looked up once.

Equal proxies share one view, and a change of endpoints alone keeps it the same object.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.sidecar import IstioEgressListener, Sidecar
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.kit.memo import Memo
from isthmus.model.collectors import collector_hosts
from isthmus.model.delegates import with_delegates
from isthmus.model.endpoint import Backing
from isthmus.model.families import Families, spoken
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import ClusterId, Hostname, NetworkId, ServiceKey, host_matches, resolve
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.rules import (
    RUN_IN,
    DestinationRules,
    Labels,
    hosts_of,
    labels_asked_by,
    labels_that_fail_over,
    most_specific_first,
    virtual_services_by_gateway,
    virtual_services_by_host,
)
from isthmus.model.seen import Catalog, Seen, Shown
from isthmus.model.service import Port, Service
from isthmus.model.setting_parts import Unknown
from isthmus.model.sidecars import Horizon, Sidecars
from isthmus.model.visibility import is_visible

Of = Callable[[type[Any]], tuple[Any, ...]]
"""All objects of a kind."""


class Rules:
    """The routing configuration of a mesh, indexed; shared by all its views."""

    def __init__(self, of: Of, settings: MeshSettings) -> None:
        domain = self._domain = settings.domain
        found = with_delegates(of(VirtualService), domain)
        self.destinations = DestinationRules(of(DestinationRule), domain)
        self.by_host = virtual_services_by_host(found, domain)
        self._wild_hosts = most_specific_first(host for host in self.by_host if host.startswith("*"))
        self._spoken_of = self.by_host.keys() | self.destinations.hosts
        self._wild_spoken_of = tuple(host for host in self._spoken_of if host.startswith("*"))
        self.by_gateway = virtual_services_by_gateway(found)
        self.gateways = of(GatewayConfig)
        self.sidecars = Sidecars(of(Sidecar), settings.root_namespace)
        self.collectors = frozenset(collector_hosts(settings))
        self._asked = {label for each in found for label in labels_asked_by(each)} | self.destinations.labels
        self._asked |= set(labels_that_fail_over(settings.locality_lb_setting))
        self._asked |= set(labels_that_fail_over(settings.zone_aware_lb_setting))
        self._asked_of_routers = {label for each in self.gateways for label in each.spec.selector}

    def virtual_service(self, host: Hostname, namespace: str, horizon: Horizon) -> VirtualService | None:
        """The rules for calls to `host` from sidecars of a namespace: its own, else of the nearest wildcard."""
        for pattern in (host, *self._wild_hosts):
            if pattern == host or host_matches(pattern, host):
                found = self.claim(pattern, namespace, horizon)
                if found is not None:
                    return found
        return None

    def claim(self, host: Hostname, namespace: str, horizon: Horizon) -> VirtualService | None:
        """The oldest rules for just this host, name or wildcard, that are shown to a namespace and seen there."""
        shown = self.shown(self.by_host.get(host, ()), namespace)
        return next((each for each in shown if horizon.sees(each.metadata.namespace, host)), None)

    def led_to(self, horizon: Horizon) -> frozenset[Hostname]:
        """The hosts to which the rules lead that a Sidecar shows, and where all it does not know is sent."""
        rules = (self.claim(host, horizon.namespace, horizon) for host in self.by_host)
        found = {host for rule in rules if rule is not None for host in hosts_of(rule, self._domain)}
        proxy = horizon.egress_proxy(self._domain)
        return self.collectors.union(found, [Hostname(proxy.host)] if proxy is not None else ())

    def speak_of(self, seen: Seen) -> Iterator[ServiceKey]:
        """The services of which any rules may speak, to whomever; and those with other names, of which they may."""
        hosts = self._spoken_of | seen.other_names.keys()
        yield from (seen.by_host[host].key for host in hosts if host in seen.by_host)
        yield from (each.key for each in seen.pods if each.owner.hostname in hosts)
        for pattern in self._wild_spoken_of:
            for each in seen.services:
                if host_matches(pattern, each.key.hostname) or host_matches(pattern, each.owner.hostname):
                    yield each.key

    @staticmethod
    def shown(found: tuple[VirtualService, ...], namespace: str) -> tuple[VirtualService, ...]:
        """Those that are exported to a namespace."""
        return tuple(
            each for each in found if is_visible(each.spec.export_to, each.metadata.namespace, namespace)
        )

    def labels_of(self, proxy: Proxy) -> Labels:
        """Those of the proxy's labels that something depends on: proxies that share them share a view."""
        asked = self._asked
        asked |= self._asked_of_routers if proxy.kind is ProxyKind.ROUTER else self.sidecars.labels
        return tuple(label for label in proxy.labels if label[0] in asked) if asked else ()


class Caller(NamedTuple):
    """All of a proxy that a view depends on."""

    kind: ProxyKind
    namespace: str
    cluster: ClusterId
    families: Families
    entered: frozenset[NetworkId]  # networks that it reaches through gateways
    labels: Labels  # only those that something in the view depends on


class View:
    """The mesh as proxies of one kind, namespace and cluster see it. Compared by identity.

    Many views differ in few services. `plain` is the one that they have in common: what proxies of no namespace
    see under no rules. For services that are not `apart` it says what this one says, and is the same for others.
    """

    def __init__(self, mesh: Mesh, rules: Rules, caller: Caller, sight: tuple[Horizon, Seen]) -> None:
        self.caller = caller
        self.kind, self.namespace, self.cluster, self.families, self.entered, self.labels = caller
        self.settings: MeshSettings = mesh.settings
        self.backings = mesh.backings
        self._rules = rules
        self._horizon, self.seen = sight
        self.sidecar = self._horizon.sidecar
        self.plain: View = self
        self.spoken_of: frozenset[ServiceKey] = frozenset()
        self.apart: frozenset[ServiceKey] = frozenset()

    def over(self, plain: View, spoken_of: frozenset[ServiceKey]) -> View:
        """This view, with what it says of services of other namespaces that rules do not speak of in `plain`."""
        self.plain, self.spoken_of = plain, spoken_of
        self.apart = spoken_of | self.seen.of(self.namespace)
        return self

    def about(self, service: ServiceKey) -> View:
        """The view that says all there is to say of a service here: shared by those that say the same."""
        return self if service in self.apart else self.plain

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that are shown, and those to which rules that are shown may lead; in the order of keys."""
        return self.seen.services

    @property
    def asks_node(self) -> bool:
        """Whether some service's endpoints depend on the node from which it is called."""
        return self.seen.asks_node

    @property
    def allows_unknown(self) -> bool:
        """Whether calls to destinations that nobody knows pass."""
        own = self._horizon.allows_unknown
        return self.settings.allow_any_outbound if own is None else own

    @property
    def resolves_unknown(self) -> bool:
        """Whether requests to hosts that nobody knows go where the host's name leads."""
        return self.settings.unknown is Unknown.RESOLVE and self._horizon.allows_unknown is None

    @property
    def egress_proxy(self) -> Destination | None:
        """Where those calls are sent, its host in full; None: where they meant to go."""
        return self._horizon.egress_proxy(self.settings.domain)

    def shown_by(self, listener: IstioEgressListener) -> Iterator[tuple[Service, Port]]:
        """The services that one listener of the Sidecar shows, with the ports on which it does."""
        number = listener.port.number if listener.port else 0
        for service in self.services:
            if self._horizon.shows(listener, service.owner):
                yield from ((service, port) for port in service.ports if number in {0, port.number})

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports that any service has, but for UDP, sorted."""
        return self.seen.ports

    def service(self, host: str, namespace: str) -> Service | None:
        """The service whose host `host` is in an object of `namespace`."""
        return self.seen.by_host.get(resolve(host, namespace, self.settings.domain))

    def meant(self, host: Hostname) -> Service | None:
        """The service that has this full host, or of which it is another name."""
        return self.seen.meant(host)

    def names_of(self, service: Service) -> tuple[tuple[ServiceKey, ...], ...]:
        """By which names it is called: its own with those for which the same rules hold, then each other by itself."""
        own, is_apart = service.key, service.key in self.apart  # as are all that have other names
        others = self.seen.other_names.get(own.hostname, ()) if is_apart else ()
        rule = self.virtual_service(own.hostname) if others else None
        apart = [key for key in others if self.virtual_service(key.hostname) not in (None, rule)]
        return ((own, *(key for key in others if key not in apart)), *((key,) for key in apart))

    def addresses(self, service: Service) -> tuple[str, ...]:
        """The addresses, and ranges of them, by which proxies of this view call the service."""
        return tuple(spoken(service.addresses(self.cluster), self.families))

    def backing(self, service: ServiceKey) -> Backing:
        """What is known of its endpoints as a whole."""
        return self.backings.get(service, _NO_BACKING)

    def destination_rule(self, service: Service) -> DestinationRule | None:
        """The rule by which proxies of this view call the service, merged where there are several."""
        root = self.settings.root_namespace
        return self._rules.destinations.rule_for(service.owner, self.namespace, root, self.labels)

    def virtual_service(self, host: Hostname) -> VirtualService | None:
        """The rules for calls to `host` from sidecars."""
        return self._rules.virtual_service(host, self.namespace, self._horizon)

    @cached_property
    def hosts_without_service(self) -> tuple[tuple[Hostname, VirtualService], ...]:
        """Hosts for which there are rules and no service, sorted."""
        found = []
        for host in sorted(
            self._rules.by_host.keys() - self.seen.by_host.keys() - self.seen.standing_for.keys()
        ):
            rule = self._rules.claim(host, self.namespace, self._horizon)
            found += [(host, rule)] if rule is not None else []
        return tuple(found)

    @cached_property
    def gateways(self) -> tuple[GatewayConfig, ...]:
        """The Gateways whose selector finds proxies with this view's labels."""
        mine = dict(self.labels).items()
        here = (each for each in self._rules.gateways if _is_run_in(self.namespace, each))
        return tuple(each for each in here if each.spec.selector.items() <= mine)

    def virtual_services_of(self, gateway: GatewayConfig) -> tuple[VirtualService, ...]:
        """The VirtualServices bound to a Gateway, the oldest first."""
        bound = self._rules.by_gateway.get((gateway.metadata.namespace, gateway.metadata.name), ())
        return self._rules.shown(bound, self.namespace)

    @property
    def datagrams(self) -> tuple[tuple[Service, Port, int], ...]:
        """The ports for datagrams that proxies of this kind take, each with its door on loopback."""
        return self.seen.datagrams if self.kind is ProxyKind.SIDECAR else ()


def _is_run_in(namespace: str, gateway: GatewayConfig) -> bool:
    return gateway.metadata.annotations.get(RUN_IN, namespace) == namespace


_SOURCES = (VirtualService, DestinationRule, GatewayConfig, Sidecar)
"""The kinds of configuration that rules are made of."""
_NONE: Mapping[Ref, Object] = {}
_NO_BACKING = Backing()
_UNRULED = Rules(lambda _: (), MeshSettings())
_EVERYTHING = Horizon(None, "")


class Views:
    """Hands out views; the same one for proxies and meshes between which it could not differ."""

    def __init__(self) -> None:
        self._rules: Memo[Rules] = Memo()
        self._catalogs: Memo[Catalog] = Memo()
        self._seen: Memo[Seen] = Memo()
        self._shown: Memo[Shown] = Memo()
        self._spoken: Memo[frozenset[ServiceKey]] = Memo()
        self._views: Memo[View] = Memo()
        self._made_from: tuple[object, ...] = ()
        self._last: tuple[Mesh | None, Rules] = None, _UNRULED
        """The mesh that was asked about last, as all proxies do in turn."""

    def view(self, mesh: Mesh, proxy: Proxy) -> View:
        """What `proxy` sees of `mesh`."""
        rules = self._rules_of(mesh)
        caller = Caller(
            *(proxy.kind, proxy.namespace, proxy.cluster, proxy.families),
            mesh.networks.entered_from(proxy.network),
            rules.labels_of(proxy),
        )
        inputs = (mesh.services, mesh.backings, rules, mesh.settings)
        return self._views.get(inputs, caller, lambda: self._make(mesh, rules, caller))

    def horizon(self, mesh: Mesh, proxy: Proxy) -> Horizon:
        """What the Sidecar of `proxy` shows of `mesh`."""
        rules = self._rules_of(mesh)
        return _horizon(rules, proxy.kind, proxy.namespace, rules.labels_of(proxy))

    def _rules_of(self, mesh: Mesh) -> Rules:
        if self._last[0] is not mesh:
            inputs = (*_sources(mesh), mesh.settings)
            self._last = (mesh, self._rules.get(inputs, "", lambda: Rules(mesh.of, mesh.settings)))
        return self._last[1]

    def _make(self, mesh: Mesh, rules: Rules, caller: Caller) -> View:
        horizon = _horizon(rules, caller.kind, caller.namespace, caller.labels)
        catalog = self._catalogs.get((mesh.services,), "", lambda: Catalog(mesh.services))
        uncalled = frozenset(each.key for each in catalog.pods if not _is_called(each, mesh, caller))
        seen = self._seen_by(horizon, rules, catalog, uncalled)
        anybody = caller._replace(kind=ProxyKind.SIDECAR, namespace="", labels=())
        plain = self._views.get(
            (seen, mesh.backings, mesh.settings),
            anybody,
            lambda: View(mesh, _UNRULED, anybody, (_EVERYTHING, seen)),
        )
        spoken_of = self._spoken.get((rules, seen), "", lambda: frozenset(rules.speak_of(seen)))
        return View(mesh, rules, caller, (horizon, seen)).over(plain, spoken_of)

    def _seen_by(
        self, horizon: Horizon, rules: Rules, catalog: Catalog, uncalled: frozenset[ServiceKey]
    ) -> Seen:
        if horizon.is_everything:
            hidden = catalog.hidden(horizon.namespace, uncalled)
            return self._seen.get((catalog,), hidden, lambda: Seen(catalog.without(hidden), _EVERYTHING))
        made_from, namespace = (catalog, horizon.sidecar), horizon.namespace
        led_to = rules.led_to(horizon)
        shown = self._shown.get(
            made_from, (namespace, led_to, uncalled), lambda: catalog.within(horizon, led_to, uncalled)
        )
        # Rules often lead to what the Sidecar shows anyway.
        return self._seen.get(made_from, (namespace, shown.keys), lambda: Seen(shown.services, horizon))

    def turn(self, mesh: Mesh) -> bool:
        """Go on to `mesh`, and forget what the two before it did not use; whether there may be other views."""
        made_from = (*_sources(mesh), mesh.services, mesh.backings, mesh.settings)
        if len(made_from) == len(self._made_from) and all(map(operator.is_, made_from, self._made_from)):
            return False
        self._made_from = made_from
        for memo in (self._rules, self._catalogs, self._shown, self._seen, self._spoken, self._views):
            memo.turn()
        return True


def _horizon(rules: Rules, kind: ProxyKind, namespace: str, labels: Labels) -> Horizon:
    is_sidecar = kind is ProxyKind.SIDECAR
    return Horizon(rules.sidecars.holding(namespace, labels) if is_sidecar else None, namespace)


def _is_called(pod: Service, mesh: Mesh, caller: Caller) -> bool:
    """Whether a pod is called as a service of its own: all of that name are far; gateways let them in."""
    networks = mesh.backings.get(pod.key, _NO_BACKING).networks
    return caller.kind is ProxyKind.ROUTER or caller.entered.issuperset(networks)


def _sources(mesh: Mesh) -> Iterator[Mapping[Ref, Object]]:
    return (mesh.config.get(kind.__name__, _NONE) for kind in _SOURCES)
