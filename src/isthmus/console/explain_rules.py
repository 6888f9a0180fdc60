"""The rules behind a trace: which VirtualService and entry a route was made from, and where it is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Ref
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Origin, Skipped
from isthmus.model.delegates import Placed, Wrong, delegates, placed
from isthmus.model.names import host_matches
from isthmus.model.proxy import ProxyKind
from isthmus.model.scope import Views
from isthmus.model.service import Service
from isthmus.model.workload import Workload
from isthmus.translate.destinations import destinations_of
from isthmus.translate.gateway_servers import admitted, opened
from isthmus.translate.names import virtual_host
from isthmus.translate.route_match import Asker
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.origin import Entry, entries, origins
from isthmus.translate.trace.routing import without_port
from isthmus.translate.trace.steps import RouteStep, Trace


class RulesOf:
    """The rules as the proxy of one workload has them."""

    def __init__(self, source: Source, workload: Workload) -> None:
        self._source, self._workload = source, workload
        self._proxy = source.proxy(workload)
        self._view = Views().view(source.mesh, self._proxy)
        self._with_delegates: dict[str, tuple[Placed, ...] | None] = {}
        self._wrong: dict[str, list[Wrong]] = defaultdict(list)

    def _askers(self, step: RouteStep, rule: VirtualService) -> list[Asker]:
        """For whom the virtual host's routes of the rule were made: at a gateway, for each server that lets it in."""
        proxy, labels = self._proxy, self._view.labels
        if proxy.kind is ProxyKind.SIDECAR:
            return [Asker(proxy.namespace, labels, _port_of(step.routes))]
        return [
            Asker(proxy.namespace, labels, one.server.port.number, one.gateway)
            for one in opened(self._view, self._workload)
            if one.routes == step.routes
            for admitted_rule, hosts in admitted(one, self._view)
            if admitted_rule.metadata == rule.metadata
            and any(virtual_host(host, one.port) == step.virtual_host for host in hosts)
        ]

    def origins(self, held: Held, found: Trace, service: Service | None) -> dict[str, Origin]:
        """The origin of the route that was taken and of those nearly, by index; `tcp` where no route was asked."""
        step = route_of(found)
        if step is None:
            entry = self._tcp_entry(found, service)
            return {"tcp": entry} if entry else {}
        host = next(each for each in held.routes[step.routes].virtual_hosts if each.name == step.virtual_host)

        def known(config: str) -> list[Entry]:
            rule = self._rule(config)
            askers = self._askers(step, rule) if rule else []
            return [entry for asker in askers if rule for entry in entries(rule, asker)]

        made = origins(host, known)
        return {
            str(index): self._origin(config, made.get(index))
            for index, config in (
                (step.index, step.config),
                *((miss.index, miss.config) for miss in found.near_misses),
                *((later.index, later.config) for later in found.later),
            )
            if config
        }

    def taken(self, held: Held, found: Trace) -> Origin | None:
        """The origin of the route that takes most of such requests."""
        step = route_of(found)
        return self.origins(held, found, None).get(str(step.index)) if step else None

    def skipped(self, found: Trace, service: Service | None) -> Iterator[Skipped]:
        """Entries of the rules for the call of which this proxy has no route, or nobody has."""
        step = route_of(found)
        for config in self._asked(found, service):
            self._placed(config)
            for wrong in self._wrong.get(config, ()):
                meta, entry = wrong.found.metadata, wrong.path.removeprefix("$.spec.")
                yield Skipped(origin=self._at(f"{meta.namespace}/{meta.name}", entry), why=self._why(wrong))
        rule = self._rule(step.config) if step else None
        if step is None or rule is None:
            return
        several = [tuple(entries(rule, asker)) for asker in self._askers(step, rule)]
        # What one server has a route of is not skipped, be there another that has none.
        for same in zip(*several, strict=True):
            if all(entry.skipped for entry in same):
                yield Skipped(origin=self._origin(step.config, same[0]), why=same[0].skipped)

    def _why(self, wrong: Wrong) -> str:
        """Why a route has no effect; a delegate that seems not to be there may be one that is refused."""
        namespace, _, name = wrong.lacks.partition("/")
        ref = Ref("VirtualService", namespace, name)
        refused = next((each for each in self._source.mesh.findings if each.ref == ref), None)
        return f"{wrong.lacks} is not read: {refused.message}" if refused is not None else wrong.message

    def _asked(self, found: Trace, service: Service | None) -> list[str]:
        """The rules that speak of what is called, though they may have no route: `namespace/name`."""
        step, call = route_of(found), found.call
        rules = [step.config] if step and step.config else []
        if self._proxy.kind is ProxyKind.SIDECAR:
            rule = self._view.virtual_service(service.key.hostname) if service and not rules else None
            return rules + ([_config_of(rule)] if rule else [])
        name = without_port(call.request.host).lower() if call.request is not None else ""
        of_port = (one for one in opened(self._view, self._workload) if one.port == call.port)
        rules += [
            _config_of(rule)
            for one in of_port
            for rule, hosts in admitted(one, self._view)
            if any(host_matches(host, name) for host in hosts)
        ]
        return list(dict.fromkeys(rules))

    def _tcp_entry(self, found: Trace, service: Service | None) -> Origin | None:
        """The first TCP rule of the service that leads where the connection goes."""
        rule = self._view.virtual_service(service.key.hostname) if service else None
        if rule is None:
            return None
        leads = destinations_of(self._view, rule)
        gone = [(one.name, one.share) for _, one in found.forwards]
        for number, tcp in enumerate(rule.spec.tcp):
            shares = [each for each in leads.shares(tcp.route, found.call.port) if each[1]]
            whole = sum(weight for _, weight in shares)
            if gone and gone == [(name, 100 * weight / whole) for name, weight in shares]:
                return self._origin(_config_of(rule), f"tcp[{number}]")
        return None

    def _written(self, config: str) -> VirtualService | None:
        namespace, _, name = config.partition("/")
        found = self._source.mesh.config.get("VirtualService", {}).get(Ref("VirtualService", namespace, name))
        return found if isinstance(found, VirtualService) else None

    def _placed(self, config: str) -> tuple[Placed, ...] | None:
        """The rule's routes with where they are written; None where it leaves none to delegates."""
        if config not in self._with_delegates:
            rule, mesh, wrong = self._written(config), self._source.mesh, self._wrong[config]
            self._with_delegates[config] = (
                placed(rule, mesh.of(VirtualService), mesh.settings.domain, wrong.append)
                if rule and delegates(rule)
                else None
            )
        return self._with_delegates[config]

    def _rule(self, config: str) -> VirtualService | None:
        """The rule as proxies have it: with the routes of its delegates."""
        rule, several = self._written(config), self._placed(config)
        if rule is None or several is None:
            return rule
        return replace(rule, spec=replace(rule.spec, http=tuple(each.route for each in several)))

    def _origin(self, config: str, entry: Entry | str | None) -> Origin:
        several = self._placed(config)
        if not isinstance(entry, Entry) or several is None:
            return self._at(config, entry)
        one = several[entry.http]
        if one.delegate is None:
            return self._at(config, Entry(one.root, entry.match))
        outer, inner = one.matches[entry.match] if entry.match is not None else (None, None)
        meta = one.delegate.metadata
        there = self._at(f"{meta.namespace}/{meta.name}", Entry(one.inner, inner))
        return replace(self._at(config, Entry(one.root, outer)), delegate=there)

    def _at(self, config: str, entry: Entry | str | None) -> Origin:
        """A part of a VirtualService, as somebody wrote it."""
        namespace, _, name = config.partition("/")
        ref, path = Ref("VirtualService", namespace, name), f"$.spec.{entry}" if entry else "$"
        ref, path = self._source.mesh.origin(ref, path)
        place = self._source.place(ref, path.removeprefix("$").removeprefix("."))
        return Origin(object=str(ref), entry=path.removeprefix("$").removeprefix(".spec."), place=place)


def route_of(found: Trace) -> RouteStep | None:
    """The route that takes most of such requests."""
    return max(found.branches, key=lambda branch: branch.share).route


def _config_of(rule: VirtualService) -> str:
    return f"{rule.metadata.namespace}/{rule.metadata.name}"


def _port_of(routes: str) -> int:
    """The port in a route configuration's name: `9080`, `host:9080`, `http.8080`."""
    last = routes.replace(".", ":").rpartition(":")[2]
    return int(last) if last.isdecimal() else 0
