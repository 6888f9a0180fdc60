"""What a class of proxies sees of the mesh: the services and rules that translation needs, looked up once.

Equal proxies share one view, and a change of endpoints alone keeps it the same object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

import msgspec

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.sidecar import IstioEgressListener, Sidecar
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.kit.memo import Memo
from isthmus.model.collectors import collector_hosts
from isthmus.model.delegates import with_delegates
from isthmus.model.endpoint import Backing
from isthmus.model.families import spoken
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import ClusterId, Hostname, ServiceKey, host_matches, resolve
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
from isthmus.model.same_host import one_of_each_host
from isthmus.model.service import Port, Protocol, Service
from isthmus.model.setting_parts import Unknown
from isthmus.model.sidecars import Horizon, Sidecars
from isthmus.model.visibility import is_visible


class Rules:
    """The routing configuration of a mesh, indexed; shared by all its views."""

    def __init__(self, mesh: Mesh) -> None:
        domain = self._domain = mesh.settings.domain
        found = with_delegates(mesh.of(VirtualService), domain)
        self.destinations = DestinationRules(mesh.of(DestinationRule), domain)
        self.by_host = virtual_services_by_host(found, domain)
        self._wild_hosts = most_specific_first(host for host in self.by_host if host.startswith("*"))
        self._spoken_of = self.by_host.keys() | self.destinations.hosts
        self._wild_spoken_of = tuple(host for host in self._spoken_of if host.startswith("*"))
        self.by_gateway = virtual_services_by_gateway(found)
        self.gateways = mesh.of(GatewayConfig)
        self.sidecars = Sidecars(mesh.of(Sidecar), mesh.settings.root_namespace)
        self.collectors = frozenset(collector_hosts(mesh.settings))
        self._asked = {label for each in found for label in labels_asked_by(each)} | self.destinations.labels
        self._asked |= set(labels_that_fail_over(mesh.settings.locality_lb_setting))
        self._asked |= set(labels_that_fail_over(mesh.settings.zone_aware_lb_setting))
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

    def led_to(self, namespace: str, horizon: Horizon) -> frozenset[Hostname]:
        """The hosts to which the rules lead that hold for sidecars of a namespace."""
        rules = (self.claim(host, namespace, horizon) for host in self.by_host)
        return frozenset(host for rule in rules if rule is not None for host in hosts_of(rule, self._domain))

    def speak_of(self, host: Hostname) -> bool:
        """Whether there is anything for calls to `host`, for whomever."""
        return host in self._spoken_of or any(host_matches(pattern, host) for pattern in self._wild_spoken_of)

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


class View:
    """The mesh as proxies of one kind, namespace and cluster see it. Compared by identity."""

    def __init__(self, mesh: Mesh, rules: Rules, proxy: Proxy, labels: Labels) -> None:
        self.kind = proxy.kind
        self.namespace = proxy.namespace
        self.cluster: ClusterId = proxy.cluster
        self.families = proxy.families
        self.entered = mesh.networks.entered_from(proxy.network)  # networks that it reaches through gateways
        self.labels = labels  # only those that something in the view depends on
        self.settings: MeshSettings = mesh.settings
        self._backings = mesh.backings
        self.beside_rules = (
            mesh.services,
            mesh.backings,
            *mesh.settings.of_routes,
        )  # what plain routes follow from
        self._rules = rules
        is_sidecar = self.kind is ProxyKind.SIDECAR
        self.sidecar = rules.sidecars.holding(self.namespace, labels) if is_sidecar else None
        self._horizon = Horizon(self.sidecar, self.namespace)
        seen = one_of_each_host(self._seen(mesh.services), self.namespace)
        self.services: tuple[Service, ...] = tuple(each for each in seen if not each.alias_of)
        self.aliases: tuple[Service, ...] = tuple(
            each for each in seen if each.alias_of
        )  # other names of these

    def _seen(self, services: Mapping[ServiceKey, Service]) -> Iterator[Service]:
        """The services that are shown, and those to which rules that are shown may lead; in the order of keys."""
        everything = self._horizon.is_everything
        led_to = self._rules.collectors
        if not everything:
            led_to |= self._rules.led_to(self.namespace, self._horizon)
            led_to |= {Hostname(self.egress_proxy.host)} if self.egress_proxy else set()
            led_to |= {
                each.alias_of
                for key, each in services.items()
                if each.alias_of
                and (key.hostname in led_to or self._horizon.sees(key.namespace, key.hostname))
            }
        for key in sorted(services):
            service, owner = services[key], services[key].owner
            if service.pod_of and not self._calls_pods(service):
                continue
            is_seen = everything or key.hostname in led_to or self._horizon.sees(*owner)
            is_shown = not service.export_to or is_visible(service.export_to, key.namespace, self.namespace)
            if is_seen and is_shown:
                yield service

    def _calls_pods(self, service: Service) -> bool:
        """Whether the pods of that name are called as a service of their own: all are far; gateways let them in."""
        networks = self.backing(service.key).networks
        return self.kind is ProxyKind.ROUTER or self.entered.issuperset(networks)

    @cached_property
    def asks_node(self) -> bool:
        """Whether some service's endpoints depend on the node from which it is called."""
        return any(each.node_only or each.distribution == "prefersamenode" for each in self.services)

    def services_on(self, port: int) -> tuple[Service, ...]:
        """The services with this port, but for UDP, in the order of their keys."""
        return self._by_port.get(port, ())

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
        policy = self.sidecar.spec.outbound_traffic_policy if self.sidecar else None
        if self.sidecar is None or policy is None or policy.egress_proxy is None or not self.allows_unknown:
            return None
        host = resolve(policy.egress_proxy.host, self.sidecar.metadata.namespace, self.settings.domain)
        return msgspec.structs.replace(policy.egress_proxy, host=host)

    def shown_by(self, listener: IstioEgressListener) -> Iterator[tuple[Service, Port]]:
        """The services that one listener of the Sidecar shows, with the ports on which it does."""
        number = listener.port.number if listener.port else 0
        for service in self.services:
            if self._horizon.shows(listener, service.owner):
                yield from ((service, port) for port in service.ports if number in {0, port.number})

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports that any service has, but for UDP, sorted."""
        return tuple(sorted(self._by_port))

    def service(self, host: str, namespace: str) -> Service | None:
        """The service whose host `host` is in an object of `namespace`."""
        return self._by_host.get(resolve(host, namespace, self.settings.domain))

    def meant(self, host: Hostname) -> Service | None:
        """The service that has this full host, or of which it is another name."""
        return self._by_host.get(self._standing_for.get(host, host))

    @cached_property
    def _standing_for(self) -> Mapping[Hostname, Hostname]:
        return {each.key.hostname: each.alias_of for each in self.aliases}

    def names_of(self, service: Service) -> tuple[tuple[ServiceKey, ...], ...]:
        """By which names it is called: its own with those for which the same rules hold, then each other by itself."""
        own, others = service.key, self._other_names.get(service.key.hostname, ())
        rule = self.virtual_service(own.hostname) if others else None
        apart = [key for key in others if self.virtual_service(key.hostname) not in (None, rule)]
        return ((own, *(key for key in others if key not in apart)), *((key,) for key in apart))

    @cached_property
    def _other_names(self) -> Mapping[Hostname, tuple[ServiceKey, ...]]:
        found: dict[Hostname, list[ServiceKey]] = defaultdict(list)
        for each in self.aliases:
            found[each.alias_of].append(each.key)
        return {host: tuple(keys) for host, keys in found.items()}

    def addresses(self, service: Service) -> tuple[str, ...]:
        """The addresses, and ranges of them, by which proxies of this view call the service."""
        return tuple(spoken(service.addresses(self.cluster), self.families))

    def backing(self, service: ServiceKey) -> Backing:
        """What is known of its endpoints as a whole."""
        return self._backings.get(service, Backing())

    def destination_rule(self, service: Service) -> DestinationRule | None:
        """The rule by which proxies of this view call the service, merged where there are several."""
        root = self.settings.root_namespace
        return self._rules.destinations.rule_for(service.owner, self.namespace, root, self.labels)

    def is_spoken_of(self, service: Service) -> bool:
        """Whether any rules may hold for calls to a service; or it has other names, of which rules may speak."""
        return service.key.hostname in self._other_names or self._rules.speak_of(service.key.hostname)

    def virtual_service(self, host: Hostname) -> VirtualService | None:
        """The rules for calls to `host` from sidecars."""
        return self._rules.virtual_service(host, self.namespace, self._horizon)

    @cached_property
    def hosts_without_service(self) -> tuple[tuple[Hostname, VirtualService], ...]:
        """Hosts for which there are rules and no service, sorted."""
        found = []
        for host in sorted(self._rules.by_host.keys() - self._by_host.keys() - self._standing_for.keys()):
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

    @cached_property
    def datagrams(self) -> tuple[tuple[Service, Port, int], ...]:
        """The ports for datagrams that proxies of this kind take, each with its door on loopback."""
        if self.kind is not ProxyKind.SIDECAR:
            return ()
        return tuple(
            (service, port, door)
            for service in self.services
            if service.doors
            for number, door in service.doors
            if (port := service.udp_port(number)) is not None and self._shows(service, number)
        )

    def _shows(self, service: Service, port: int) -> bool:
        shown = self._horizon.ports(service.owner)
        return shown is None or port in shown

    @cached_property
    def _by_host(self) -> Mapping[Hostname, Service]:
        return {service.key.hostname: service for service in self.services}

    @cached_property
    def _by_port(self) -> Mapping[int, tuple[Service, ...]]:
        found: dict[int, list[Service]] = defaultdict(list)
        for service in self.services:
            shown = self._horizon.ports(service.owner)
            for port in service.ports:
                if port.protocol is not Protocol.UDP and (shown is None or port.number in shown):
                    found[port.number].append(service)
        return {number: tuple(services) for number, services in found.items()}


def _is_run_in(namespace: str, gateway: GatewayConfig) -> bool:
    return gateway.metadata.annotations.get(RUN_IN, namespace) == namespace


class Views:
    """Hands out views; the same one for proxies and meshes between which it could not differ."""

    def __init__(self) -> None:
        self._rules: Memo[Rules] = Memo()
        self._views: Memo[View] = Memo()

    def view(self, mesh: Mesh, proxy: Proxy) -> View:
        """What `proxy` sees of `mesh`."""
        rules = self._rules.get((mesh.config, mesh.settings), "rules", lambda: Rules(mesh))
        labels = rules.labels_of(proxy)
        return self._views.get(
            (mesh.services, mesh.backings, rules, mesh.settings),
            (
                *(proxy.kind, proxy.namespace, proxy.cluster, proxy.families),
                *(mesh.networks.entered_from(proxy.network), labels),
            ),
            lambda: View(mesh, rules, proxy, labels),
        )

    def turn(self) -> None:
        """Forget what the last two meshes did not use; call it once for each mesh."""
        self._rules.turn()
        self._views.turn()
