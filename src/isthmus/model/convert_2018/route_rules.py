"""RouteRules of one service → one VirtualService, its routes in the order of their precedence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from isthmus.api.istio import http_route as istio_http
from isthmus.api.istio import virtual_service as istio
from isthmus.api.istio.destination import Destination
from isthmus.api.istio_2018.route_rule import MatchCondition, RouteRule, StringMatch
from isthmus.api.istio_2018.service import IstioService
from isthmus.api.validate import problems
from isthmus.model.convert_2018.hosts import Host, Subsets, host_of
from isthmus.model.convert_2018.route_parts import cors, fault, retries, timeout
from isthmus.model.convert_2018.told import Told

_PSEUDO = ("uri", "scheme", "method", "authority")


def by_precedence(rules: Sequence[RouteRule], told: Told) -> list[RouteRule]:
    """The highest first. Of equals, whose order was never defined, those with conditions, then by name."""
    found = sorted(
        rules,
        key=lambda each: (
            -each.spec.precedence,
            each.spec.match is None,
            each.metadata.namespace,
            each.metadata.name,
        ),
    )
    for one, other in pairwise(found):
        if one.spec.precedence == other.spec.precedence:
            message = (
                f"is {other.spec.precedence}, as that of {one.metadata.name}: which counts was never defined "
                f"(hint: now {one.metadata.name} does)"
            )
            told.changed(other, "$.spec.precedence", message)
    return found


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the VirtualService of one service."""

    host: Host
    namespace: str  # of the VirtualService
    subsets: Subsets
    told: Told

    def spec(self, rules: Sequence[RouteRule]) -> istio.VirtualServiceSpec:
        """All `rules`, which stand in the order in which they count."""
        http: list[istio_http.HTTPRoute] = []
        tcp: list[istio.TCPRoute] = []
        for rule in rules:
            match = rule.spec.match
            if rule.spec.l4_fault is not None:
                self.told.lost(
                    rule, "$.spec.l4Fault", "nobody injects faults into connections (hint: httpFault)"
                )
            if match is not None and match.udp is not None:
                self.told.lost(rule, "$.spec.match.udp", "UDP has no routes (hint: leave it out)")
            own = self._own(rule)
            wrong = list(problems(istio.VirtualService(spec=own)))
            for path, message in wrong:
                self.told.lost(rule, "$.spec", f"would be wrong today, at {path}: {message}")
            if not wrong:
                http.extend(own.http)
                tcp.extend(own.tcp)
        return istio.VirtualServiceSpec(hosts=self._hosts, http=tuple(http), tcp=tuple(tcp))

    @property
    def _hosts(self) -> tuple[str, ...]:
        return (self.host.seen_from(self.namespace),)

    def _own(self, rule: RouteRule) -> istio.VirtualServiceSpec:
        """One rule alone: for requests, where it says nothing of connections, and for these."""
        match = rule.spec.match
        of_connections = match is not None and (match.tcp is not None or match.udp is not None)
        of_requests = not of_connections or (match is not None and match.request is not None)
        return istio.VirtualServiceSpec(
            hosts=self._hosts,
            http=(self._http(rule),) if of_requests else (),
            tcp=(self._tcp(rule, match),) if match is not None and match.tcp is not None else (),
        )

    def _http(self, rule: RouteRule) -> istio_http.HTTPRoute:
        spec = rule.spec
        match = self._http_match(rule)
        policy = cors(spec.cors_policy)
        if spec.redirect is not None:
            redirect = istio_http.HTTPRedirect(uri=spec.redirect.uri, authority=spec.redirect.authority)
            return istio_http.HTTPRoute(
                name=rule.metadata.name, match=match, redirect=redirect, cors_policy=policy
            )
        rewrite = spec.rewrite
        added = istio_http.HeaderOperations(add=spec.append_headers)
        return istio_http.HTTPRoute(
            name=rule.metadata.name,
            match=match,
            route=tuple(
                istio_http.HTTPRouteDestination(destination=each, weight=weight)
                for each, weight in self._shares(rule)
            ),
            rewrite=istio_http.HTTPRewrite(uri=rewrite.uri, authority=rewrite.authority) if rewrite else None,
            timeout=timeout(rule, self.told),
            retries=retries(rule, self.told),
            fault=fault(rule, self.told),
            mirror=self._destination(spec.mirror, rule, {}) if spec.mirror is not None else None,
            cors_policy=policy,
            headers=istio_http.Headers(request=added) if spec.append_headers else None,
        )

    def _tcp(self, rule: RouteRule, match: MatchCondition) -> istio.TCPRoute:
        asked = match.tcp
        sources = asked.source_subnet if asked is not None else ()
        labels, namespace = self._source(rule, match.source)
        return istio.TCPRoute(
            match=tuple(
                istio.L4MatchAttributes(
                    destination_subnets=asked.destination_subnet if asked is not None else (),
                    source_subnet=subnet,
                    source_labels=labels,
                    source_namespace=namespace,
                )
                for subnet in sources or ("",)
            ),
            route=tuple(
                istio.RouteDestination(destination=each, weight=weight) for each, weight in self._shares(rule)
            ),
        )

    def _shares(self, rule: RouteRule) -> Iterator[tuple[Destination, int]]:
        """Destinations with weights; one alone gets all, and none at all is the service itself."""
        route = rule.spec.route
        if not route:
            yield self._destination(rule.spec.destination, rule, {}), 0
        total = sum(share.weight for share in route)
        if len(route) > 1 and total != 100:
            message = f"weights add up to {total}: they are shares of that now, no longer of 100"
            self.told.changed(rule, "$.spec.route", message)
        for share in route:
            service = share.destination or rule.spec.destination
            weight = share.weight if len(route) > 1 else 0
            yield self._destination(service, rule, share.labels), weight

    def _destination(self, service: IstioService, rule: RouteRule, labels: dict[str, str]) -> Destination:
        host = host_of(service, rule.metadata.namespace)
        subset = self.subsets.name(host, {**service.labels, **labels})
        return Destination(host=host.seen_from(self.namespace), subset=subset)

    def _http_match(self, rule: RouteRule) -> tuple[istio_http.HTTPMatchRequest, ...]:
        match = rule.spec.match
        if match is None:
            return ()
        headers = match.request.headers if match.request is not None else {}
        texts = {name: _text(each) for name, each in headers.items()}
        labels, namespace = self._source(rule, match.source)
        made = istio_http.HTTPMatchRequest(
            uri=texts.get("uri"),
            scheme=texts.get("scheme"),
            method=texts.get("method"),
            authority=texts.get("authority"),
            headers={name: each for name, each in texts.items() if name not in _PSEUDO},
            source_labels=labels,
            source_namespace=namespace,
        )
        return () if made == istio_http.HTTPMatchRequest() else (made,)

    def _source(self, rule: RouteRule, source: IstioService | None) -> tuple[dict[str, str], str]:
        """The callers' labels and namespace. Callers have no service name today: the label `app` stands for it."""
        if source is None:
            return {}, ""
        if source.name or source.service:
            host = host_of(source, rule.metadata.namespace)
            message = f"callers are not known by service: the label app: {host.name} is taken for it"
            self.told.changed(rule, "$.spec.match.source", message)
            return {"app": host.name, **source.labels}, host.namespace
        return dict(source.labels), source.namespace


def _text(match: StringMatch | str) -> istio_http.StringMatch:
    if isinstance(match, str):
        return istio_http.StringMatch(exact=match)
    return istio_http.StringMatch(exact=match.exact, prefix=match.prefix, regex=match.regex)
