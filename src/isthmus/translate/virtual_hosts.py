"""Virtual hosts as parts of a RouteConfiguration: serialised once, and joined as often as configurations name them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isthmus.envoy.types import RouteConfiguration, VirtualHost
from isthmus.kit.versioned import Part, Versioned
from isthmus.translate import proto
from isthmus.translate.route_action import LARGEST_ANSWER_BYTES

_VIRTUAL_HOSTS = 2  # field number in RouteConfiguration


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual host as part of a RouteConfiguration, serialised, with the domains that it claims in lower case."""

    domains: tuple[str, ...]
    part: Part

    @classmethod
    def of(cls, made: VirtualHost) -> Host:
        # Istio's default: those that are called learn by a header whether others have failed before.
        made.include_request_attempt_count = True
        # Envoy compares domains in lower case.
        domains = tuple(domain.lower() for domain in made.domains)
        return cls(domains, Part.of(proto.joined(_VIRTUAL_HOSTS, [proto.body(made)])))

    @property
    def made(self) -> VirtualHost:
        """The host, read again."""
        return RouteConfiguration.FromString(self.part.body).virtual_hosts[0]

    def without(self, claimed: Collection[str]) -> Host | None:
        """The host without domains that others claim; None where none is left."""
        made = self.made
        free = [domain for domain in made.domains if domain.lower() not in claimed]
        made.domains[:] = free
        return Host.of(made) if free else None


Hosts = tuple[Host, ...]


class Standing:
    """Hosts that many configurations have in common, some at each place, with the domains that they claim."""

    def __init__(self, places: Sequence[Hosts]) -> None:
        self._places = places
        self._claims = _Claims()
        self._kept = [tuple(self._claims.free(hosts)) for hosts in places]

    def under(self, own: Mapping[int, Hosts], more: Hosts) -> list[Host]:
        """These with others at some places, and `more` behind them, without repetition.

        Only where somebody loses a domain to the others, or gets one back, must all of them be looked at.
        """
        gone = {domain for place in own for host in self._places[place] for domain in host.domains}
        come = [domain for hosts in (*own.values(), more) for host in hosts for domain in host.domains]
        is_alone = self._claims.contested.isdisjoint(gone) and self._claims.claimed.isdisjoint({*come} - gone)
        is_alone = is_alone and len({*come}) == len(come)
        places = [*(self._kept if is_alone else self._places), more]
        for place, hosts in own.items():
            places[place] = hosts
        found = [host for hosts in places for host in hosts]
        return found if is_alone else without_repetition(found)


def without_repetition(hosts: Iterable[Host]) -> list[Host]:
    """`hosts` without domains that one before them claims: Envoy refuses a domain that is there twice."""
    return list(_Claims().free(hosts))


class _Claims:
    """Which domains are claimed, and which of them more than once."""

    def __init__(self) -> None:
        self.claimed: set[str] = set()
        self.contested: set[str] = set()

    def free(self, hosts: Iterable[Host]) -> Iterator[Host]:
        """What is left of `hosts` without the domains that are claimed before them."""
        for host in hosts:
            again = self.claimed.intersection(host.domains)
            self.contested |= again
            free = host.without(again) if again else host
            if free is not None:
                self.claimed.update(free.domains)
                yield free


def joined(name: str, hosts: Iterable[Host], *, by_port: bool = False) -> Versioned:
    """The RouteConfiguration of these virtual hosts; `by_port`: their domains name ports."""
    head = RouteConfiguration(
        name=name,
        max_direct_response_body_size_bytes=proto.uint32(LARGEST_ANSWER_BYTES),
        ignore_port_in_host_matching=not by_port,
    )
    # Routes may name upstreams that are not there: those answer 503, the others must not suffer.
    head.validate_clusters.value = False
    return Versioned.joined(name, [Part.of(proto.body(head)), *(host.part for host in hosts)])
