"""Which virtual host and route take a request, and which came close.

Source: Envoy's route configuration reference: exact domains, then the longest wildcard before a suffix,
then the longest after a prefix, then `*`; of the host's routes the first that matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from isthmus.envoy.types import Route, RouteConfiguration, VirtualHost
from isthmus.translate.trace.call import Request, Untraceable
from isthmus.translate.trace.conditions import Condition, chance, conditions
from isthmus.translate.trace.steps import NearMiss, RouteStep
from isthmus.translate.trace.text_match import lower
from isthmus.translate.trace.upstream_view import named_config


class Taken(NamedTuple):
    """A route that takes a share of such requests."""

    share: float  # 0 to 1
    route: Route
    step: RouteStep


class Found(NamedTuple):
    """What a route configuration does with a request; what is left of `taken`'s shares gets 404."""

    host: VirtualHost | None
    above: tuple[VirtualHost, RouteConfiguration] | tuple[()] = ()  # around the routes, nearest first
    taken: tuple[Taken, ...] = ()
    missed: tuple[NearMiss, ...] = ()
    later: tuple[RouteStep, ...] = ()


def route(
    config: RouteConfiguration, request: Request, metadata: Mapping[str, object] | None = None
) -> Found:
    """The routes that take `request`: several only where chance decides. `metadata`: what filters found out."""
    found = virtual_host(config, request.host)
    if found is None:
        return Found(None)
    host, domain = found
    if host.HasField("matcher"):
        raise Untraceable(f"virtual host {host.name}: its matcher is not known to the trace")
    taken: list[Taken] = []
    missed: list[NearMiss] = []
    left, last = 1.0, len(host.routes)
    for index, each in enumerate(host.routes):
        asked = list(conditions(each.match, request, metadata))
        failed = [one for one in asked if not one.holds]
        if failed:
            missed.append(_near(index, each, failed))
            continue
        share = chance(each.match)
        if share:
            words = tuple(one.asks for one in asked)
            taken.append(Taken(left * share, each, _step(config, (host, domain), index, words)))
        left *= 1 - share
        if not left:
            last = index
            break
    if config.most_specific_header_mutations_wins:
        raise Untraceable(f"routes {config.name}: their order of header changes is not known to the trace")
    later = tuple(_later(config, (host, domain), range(last + 1, len(host.routes)), request))
    return Found(host, (host, config), tuple(taken), tuple(missed), later)


def _later(
    config: RouteConfiguration, where: tuple[VirtualHost, str], indices: Iterable[int], request: Request
) -> Iterator[RouteStep]:
    """The routes that would take the request as well, had none before: those that ask for anything."""
    for index in indices:
        try:
            asked = list(conditions(where[0].routes[index].match, request))
        except Untraceable:  # what comes too late need not be known
            continue
        step = _step(config, where, index, (one.asks for one in asked))
        if step.conditions and all(one.holds for one in asked):
            yield step


def virtual_host(config: RouteConfiguration, authority: str) -> tuple[VirtualHost, str] | None:
    """The virtual host for a Host header, and the domain by which it was found."""
    host = without_port(authority) if config.ignore_port_in_host_matching else authority
    host = lower(host)
    best: tuple[tuple[int, int], VirtualHost, str] | None = None
    for each in config.virtual_hosts:
        for domain in each.domains:
            rank = _rank(lower(domain), host)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, each, domain)
    return best[1:] if best else None


def without_port(authority: str) -> str:
    """`authority` up to its last colon, if that is not inside an IPv6 address."""
    colon = authority.rfind(":")
    return authority[:colon] if colon > authority.rfind("]") else authority


def _rank(domain: str, host: str) -> tuple[int, int] | None:
    """How specific `domain` is for `host`; None where it does not fit. A wildcard is never empty."""
    if domain == "*":
        return (0, 0)
    if domain == host:
        return (3, 0)
    size = len(domain) - 1
    if size < len(host):
        if domain.startswith("*") and host.endswith(domain[1:]):
            return (2, size)
        if domain.endswith("*") and host.startswith(domain[:-1]):
            return (1, size)
    return None


def _step(
    config: RouteConfiguration, where: tuple[VirtualHost, str], index: int, words: Iterable[str]
) -> RouteStep:
    host, domain = where
    own = host.routes[index]
    return RouteStep(
        routes=config.name,
        virtual_host=host.name,
        domain=domain,
        index=index,
        name=own.name,
        config=_config(own),
        conditions=tuple(_telling(words)),
    )


def _telling(words: Iterable[str]) -> Iterator[str]:
    return (each for each in words if each != "path = /*")


def _near(index: int, own: Route, failed: Sequence[Condition]) -> NearMiss:
    first = failed[0]
    return NearMiss(
        index=index,
        name=own.name,
        config=_config(own),
        condition=first.asks,
        found=first.found,
        lacks=len(failed),
    )


def _config(own: Route) -> str:
    if "istio" not in own.metadata.filter_metadata:
        return ""
    path = own.metadata.filter_metadata["istio"].fields["config"].string_value
    return named_config(path, "virtual-service")
