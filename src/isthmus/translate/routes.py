"""RDS for sidecars: a virtual host for each service on a port, and what happens to hosts nobody knows.

Virtual hosts are made and remembered one by one, as bytes; a route configuration is joined from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.istio.http_route import HTTPMatchRequest
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Ref
from isthmus.envoy.rules import violations
from isthmus.envoy.types import (
    DirectResponseAction,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.scope import View
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.translate import names, proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.destinations import Destinations, Known, destinations_of, known
from isthmus.translate.egress import called, unknown_upstream
from isthmus.translate.errors import at
from isthmus.translate.hashing import hash_policy
from isthmus.translate.http_filters import FILTERS
from isthmus.translate.http_proxy import at_port, unknown_hosts
from isthmus.translate.layers import Layered, Layers
from isthmus.translate.operation import operation
from isthmus.translate.retries import retry_policy
from isthmus.translate.route_action import Rule, apply_action
from isthmus.translate.route_match import Asker, concerns, route_match, takes_everything
from isthmus.translate.types import ROUTES
from isthmus.translate.virtual_hosts import Host, Hosts, Standing, joined, without_repetition


class Routes:
    """Makes sidecars' route configurations."""

    def __init__(self) -> None:
        self.checked: Checked[Host] = Checked()
        self._hosts: Memo[Host | None] = Memo()
        self._proxied: Memo[Host] = Memo()
        self._last: Memo[Host] = Memo()
        self._layers: Layers[Hosts] = Layers((), lambda view: view.settings.of_routes)
        self._standing: Memo[Standing] = Memo()
        self._joined: Memo[Versioned] = Memo()
        self.memos = (self._hosts, self._proxied, self._last, *self._layers.memos)
        self.of_views = (self._standing, self._joined, *self._layers.of_views)

    def named(self, view: View, name: str) -> Versioned | None:
        """The RouteConfiguration `name`; None where there is none.

        It is `<port>`, `<host>:<port>`, `unix://<path>` or `http_proxy`.
        """
        if name == names.HTTP_PROXY:
            return self._at_proxy(view) if view.settings.route.http_proxy else None
        if name.startswith("unix://"):
            shown = self._at_path(view, name)
            return joined(name, shown) if shown else None
        hostname, _, port = name.rpartition(":")
        if not port.isdecimal():
            return None
        if not hostname:
            return self._on_port(view, int(port))
        found = self._sniffed(view, hostname, int(port))
        return None if found is None else joined(name, found)

    def _on_port(self, view: View, port: int) -> Versioned:
        shown = self._layers.of(view, view.seen.requests(port), "on port", self._service_hosts)
        bare = (self._bare_host(view, host, rule, port) for host, rule in view.hosts_without_service)
        last = self._last.get((), _unknown(view), lambda: Host.of(_everything_else(view)))
        return self._of_layers(str(port), shown, (*(host for host in bare if host), last))

    def _at_proxy(self, view: View) -> Versioned:
        """The hosts of all ports, each by its name and port, for requests that are sent to the proxy."""
        shown = self._layers.of(view, view.seen.at_ports, "at the proxy", self._with_tunnel)
        bare = (
            self._at_port(host, port, "")
            for port in sorted({80, *view.ports})
            for name, rule in view.hosts_without_service
            if (host := self._bare_host(view, name, rule, port))
        )
        last = self._last.get((), ("proxy", *_unknown(view)), lambda: Host.of(unknown_hosts(view)))
        return self._of_layers(names.HTTP_PROXY, shown, (*bare, last))

    def _of_layers(self, name: str, shown: Layered[Hosts], more: Hosts) -> Versioned:
        """The configuration of hosts that views have in common, of one view's own, and of those behind them."""
        standing = self._standing.get((shown.common,), "", lambda: Standing(shown.common))
        own = tuple((place, len(hosts)) for place, hosts in shown.own.items())
        inputs = (standing, *(host for hosts in shown.own.values() for host in hosts), *more)

        def make() -> Versioned:
            return joined(name, standing.under(shown.own, more), by_port=name == names.HTTP_PROXY)

        return self._joined.get(inputs, (name, own), make)

    def _at_port(self, host: Host, port: int, to: str) -> Host:
        return self._proxied.get((host,), (port, to), lambda: Host.of(at_port(host.made, port, to)))

    def _with_tunnel(self, view: View, service: Service, port: int) -> Hosts:
        """The hosts of a service at the proxy, and where CONNECT to them leads."""
        own, to = service.port(port), names.outbound(port, "", service.key.hostname)
        takes_requests = own is not None and (own.protocol.is_http or own.protocol is Protocol.UNSPECIFIED)
        found = (
            self._service_hosts(view, service, port)
            if takes_requests
            else (self._without_routes(view, service, port),)
        )
        return tuple(self._at_port(host, port, to) for host in found)

    def _without_routes(self, view: View, service: Service, port: int) -> Host:
        """The names of a service that takes no requests."""
        spoken = tuple(key for keys in view.names_of(service) for key in keys)
        domains = tuple(service_domains(view, service, spoken))
        name = names.virtual_host(service.key.hostname, port)
        return self._proxied.get(
            (service,), (port, domains), lambda: Host.of(VirtualHost(name=name, domains=domains))
        )

    def _at_path(self, view: View, bind: str) -> list[Host]:
        """The hosts that a Sidecar shows at a path of the file system; what it does not show is refused there."""
        hosts = [
            host
            for one in called(view.sidecar)
            if one.bind == bind
            for service, port in view.shown_by(one.listener)
            if port.protocol.is_http
            for host in self._service_hosts(view, service, port.number)
        ]
        return without_repetition([*hosts, Host.of(_refused())]) if hosts else []

    def _sniffed(self, view: View, hostname: str, port: int) -> list[Host] | None:
        service = view.service(hostname, "")
        if service is None or service.port(port) is None:
            return None
        _, *apart = view.names_of(service)
        hosts = (self._service_host(view, service, port, spoken) for spoken in (*apart, ()))
        return [host for host in hosts if host]

    def _service_hosts(self, view: View, service: Service, port: int) -> Hosts:
        """The service's own host, and one for each other name of it that has rules of its own."""
        found = (self._service_host(view, service, port, spoken) for spoken in view.names_of(service))
        return tuple(host for host in found if host)

    def _service_host(
        self, view: View, service: Service, port: int, spoken: tuple[ServiceKey, ...]
    ) -> Host | None:
        """The host for requests to the names `spoken`, by the rules for the first; to any where there are none."""
        key = spoken[0] if spoken else service.key
        rule = view.virtual_service(key.hostname)
        here = known(view, service)
        leads = destinations_of(view, rule) if rule else None
        others = tuple(part for one in leads.known.values() for part in one.parts) if leads else ()
        asker = Asker(view.namespace, view.labels, port, retry=view.settings.route.retry)
        local = view.namespace if any(each.namespace == view.namespace for each in spoken) else ""
        scope = (port, spoken, local, view.cluster, view.families, *_asked_of(asker, rule))

        def make() -> Host | None:
            domains = tuple(service_domains(view, service, spoken)) or ("*",)
            name = names.virtual_host(key.hostname, port)
            slot = Slot(ROUTES, name, service.key, scope)
            about = about_rule(rule) if rule else here.about

            def usual() -> VirtualHost:
                own = service.port(port) or service.ports[0]
                return VirtualHost(name=name, domains=domains, routes=[_default_route(here, own, asker)])

            def host() -> VirtualHost:
                routes = list(rule_routes(rule, leads, asker)) if rule and leads else []
                return VirtualHost(name=name, domains=domains, routes=routes) if routes else usual()

            doubt = leads.unknown_subset(rule) if rule and leads else None
            found = self.checked.keep(slot, about, host, Host.of, doubt)
            if found is None and rule is not None:
                # As with rules that cannot be read at all: the service is called as if there were none.
                slot = slot._replace(name=f"{name} without rules")
                return self.checked.keep(slot, here.about, usual, Host.of)
            return found

        return self._hosts.get((*here.parts, rule, *others, *view.settings.of_routes), scope, make)

    def _bare_host(self, view: View, hostname: Hostname, rule: VirtualService, port: int) -> Host | None:
        """A host that only a VirtualService speaks of: on port 80, or on the ports its conditions name."""
        ports = {match.port for http in rule.spec.http for match in http.match if match.port} or {80}
        if port not in ports or not rule.spec.http:
            return None
        leads = destinations_of(view, rule)
        asker = Asker(view.namespace, view.labels, port, retry=view.settings.route.retry)
        scope = (port, hostname, view.cluster, *_asked_of(asker, rule))
        others = (part for one in leads.known.values() for part in one.parts)

        def make() -> Host | None:
            name = names.virtual_host(hostname, port)

            def host() -> VirtualHost:
                return VirtualHost(name=name, domains=[hostname], routes=rule_routes(rule, leads, asker))

            slot = Slot(ROUTES, name, None, scope)
            return self.checked.keep(slot, about_rule(rule), host, Host.of)

        return self._hosts.get((rule, *others, *view.settings.of_routes), scope, make)


def _asked_of(asker: Asker, rule: VirtualService | None) -> tuple[object, ...]:
    """That much of the asker as the rule's conditions ask for: other askers share the routes."""
    matches = [match for http in rule.spec.http for match in http.match] if rule else []
    return (
        asker.namespace if any(match.source_namespace for match in matches) else "",
        asker.labels if any(match.source_labels for match in matches) else (),
    )


def service_domains(view: View, service: Service, spoken: Iterable[ServiceKey]) -> Iterator[str]:
    """The domains by which a service is asked for by some of its names; its addresses go with its own.

    Source: Istio's virtual hosts: short names as the client's namespace may use them, then addresses.
    """
    for key in spoken:
        written = list(_written(view, key, service.name if key == service.key else key.name))
        yield from written
        if service.resolution is Resolution.PASSTHROUGH:
            yield from (f"*.{name}" for name in written)
        if key == service.key:
            yield from (
                f"[{each}]" if ":" in each else each for each in view.addresses(service) if "/" not in each
            )


def _written(view: View, key: ServiceKey, name: str) -> Iterator[str]:
    """How callers of the view may write a host, in full first; `name` in its own namespace."""
    yield str(key.hostname)
    if key.hostname != "*":
        yield f"{key.hostname}."
    if key.hostname.endswith(f".svc.{view.settings.domain}"):
        if view.namespace == key.namespace:
            yield name
        yield from (f"{name}.{key.namespace}.svc", f"{name}.{key.namespace}")


def rule_routes(rule: VirtualService, leads: Destinations, asker: Asker) -> Iterator[Route]:
    """The routes of a VirtualService for `asker`, in order, up to the first that takes everything."""
    namespace = rule.metadata.namespace
    for number, http in enumerate(rule.spec.http):
        for index, match in enumerate(http.match or (None,)):
            condition = match or HTTPMatchRequest()
            if not concerns(condition, asker, rule.spec.gateways, namespace):
                continue
            with at(f"http[{number}]"):
                yield _checked_route(rule, Rule(http, match, leads, asker.port, asker.retry), index)
            if takes_everything(match):
                return


def _checked_route(rule: VirtualService, part: Rule, index: int) -> Route:
    """The route. Raises `Unsayable` where Envoy would refuse it: here its place in the rule is known."""
    with at(f"match[{index}]"):
        match = route_match(part.match)
    route = _route(rule, part, match)
    for path, broken in violations(route):
        raise ValueError(f"in Envoy's route, {path} {broken}")
    return route


def _route(rule: VirtualService, part: Rule, match: RouteMatch) -> Route:
    route = Route(match=match, name=_route_name(part))
    apply_action(route, part)
    if part.match and part.match.stat_prefix:
        route.stat_prefix = part.match.stat_prefix
    route.decorator.operation = operation(route, rule.metadata.name, part.listener_port)
    meta = rule.metadata
    config = f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/virtual-service/{meta.name}"
    route.metadata.filter_metadata["istio"].update({"config": config})
    for http_filter in FILTERS:
        own = http_filter.on_route(part.http)
        if own is not None:
            route.typed_per_filter_config[http_filter.NAME].CopyFrom(own)
    return route


def _route_name(part: Rule) -> str:
    named = part.match.name if part.match else ""
    return ".".join(name for name in (part.http.name, named) if name)


def _default_route(here: Known, port: Port, asker: Asker) -> Route:
    """Everything to the service."""
    hostname = here.service.key.hostname
    action = RouteAction(cluster=names.outbound(port.number, "", hostname), timeout=proto.seconds(0))
    hashing = here.policy(port.number).consistent_hash
    if hashing:
        action.hash_policy.append(hash_policy(hashing))
    if policy := retry_policy(asker.retry, crosses=here.crosses, hashed=hashing is not None):
        action.retry_policy.CopyFrom(policy)
    route = Route(name="default", match=RouteMatch(prefix="/"), route=action)
    route.decorator.operation = operation(route, hostname, port.number)
    return route


def _unknown(view: View) -> tuple[object, ...]:
    """All that the host depends on that is for hosts which nobody knows."""
    return view.allows_unknown, view.resolves_unknown, unknown_upstream(view)


def _everything_else(view: View) -> VirtualHost:
    """Hosts that nobody knows: passed on to where they were meant to go, or refused."""
    if not view.allows_unknown:
        return _refused()
    name, to = "allow_any", unknown_upstream(view)
    if view.resolves_unknown:
        name, to = "allow_any_dynamic_dns", names.DYNAMIC_DNS
    action = RouteAction(cluster=to, timeout=proto.seconds(0))
    route = Route(name=name, match=RouteMatch(prefix="/"), route=action)
    return VirtualHost(name=name, domains=["*"], routes=[route])


def _refused() -> VirtualHost:
    refused = DirectResponseAction(status=502)
    route = Route(name="block_all", match=RouteMatch(prefix="/"), direct_response=refused)
    return VirtualHost(name="block_all", domains=["*"], routes=[route])


def about_rule(rule: VirtualService) -> Ref:
    """By which findings name the rule."""
    return Ref("VirtualService", rule.metadata.namespace, rule.metadata.name)
