"""Endpoints of other networks are shown as the gateways of these networks, with their weight (ADR 0014).

A gateway is one host to Envoy, which drops a second one of the same address in the same priority. So an
address is told once, with the weight of all that it stands for, at the nearest place of any of that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from ipaddress import ip_address
from math import lcm
from typing import NamedTuple

from isthmus.model.endpoint import Locality
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network import Direct, NetworkGateway, Networks, Unreachable, Via, Way
from isthmus.translate.placement import Standpoint

Group = tuple[Locality, int]
"""Where endpoints are, and how far: localities of one rank are tried together."""

Ways = tuple[tuple[tuple[NetworkId, ClusterId], Way], ...]
"""How endpoints are reached that are not reached directly, by network and cluster."""


def ways(networks: Networks, here: Standpoint, there: Iterable[tuple[NetworkId, ClusterId]]) -> Ways:
    """How a proxy reaches endpoints of these networks and clusters, where it is not directly.

    A gateway counts only where the proxy speaks the family of its address.
    """
    found = []
    for key in sorted(set(there)):
        way = networks.way(here.network, *key)
        if here.sees and key[0] not in {FLAT, *here.sees}:
            way = Unreachable("the proxy asks for other networks only")
        if isinstance(way, Via):
            spoken = tuple(each for each in way.gateways if ip_address(each.address).version in here.families)
            way = (
                Via(spoken)
                if spoken
                else Unreachable(f"no gateway of network {key[0]} has an address of its family")
            )
        if not isinstance(way, Direct):
            found.append((key, way))
    return tuple(found)


def closed(found: Ways) -> Ways:
    """The same where no mutual TLS is spoken: gateways let nothing else in."""
    why = Unreachable("gateways are entered with mutual TLS only")
    return tuple((key, why if isinstance(way, Via) else way) for key, way in found)


def own_only(here: Standpoint, there: Iterable[tuple[NetworkId, ClusterId]]) -> Ways:
    """For a gateway between networks: nothing but its own network, so that none passes calls on to another."""
    why = Unreachable("a gateway lets into its own network only")
    own = {FLAT, *(here.sees or (here.network,))}
    return tuple((key, why) for key in sorted(set(there)) if key[0] not in own)


LARGEST = 4_294_967_295
"""What weights of a locality, and of all localities, may add up to. Source: LocalityLbEndpoints reference."""


class Passage(NamedTuple):
    """Endpoints of one place that are reached through gateways."""

    group: Group
    gateways: tuple[NetworkGateway, ...]  # of which each gets the same part
    weight: int
    cluster: ClusterId
    network: NetworkId = FLAT


class Told(NamedTuple):
    """A gateway as an endpoint."""

    address: str
    port: int
    weight: int
    clusters: tuple[ClusterId, ...]  # in which the endpoints are that it stands for, sorted
    networks: tuple[NetworkId, ...]  # into which it lets, sorted


class Shown(NamedTuple):
    """What a proxy sees: gateways by group, and what each group weighs."""

    gateways: Mapping[Group, tuple[Told, ...]]
    weights: Mapping[Group, int]


def passage(group: Group, way: Via, weight: int, of: tuple[NetworkId, ClusterId]) -> Passage:
    """The way to endpoints of a group, in a network and cluster, by those gateways that stand nearest to them."""
    network, cluster = of
    return Passage(group, way.nearest_to(group[0]), weight, cluster, network)


def factor(passages: Iterable[Passage], direct: int, *, by_share: bool) -> int:
    """By how much all weights are multiplied, so that each gateway's part is a whole number.

    `direct`: the weight of all others. `by_share`: localities get shares, so that a part may be any fraction;
    then to the hundredth. 1 where that would be more than Envoy takes: parts are rounded.
    """
    several = tuple(passages)
    found = lcm(*(len(each.gateways) for each in several)) * (100 if by_share else 1)
    whole = direct + sum(each.weight for each in several)
    return found if whole * found <= LARGEST else 1


def shown(direct: Mapping[Group, int], passages: Iterable[Passage], shares: Mapping[Group, int]) -> Shown:
    """The gateways, each told once, and the weights of all groups.

    `direct` and `passages` weigh what endpoints do, times the factor. `shares` are what localities shall
    get where a rule says so; other groups get what is in them.
    """
    several = tuple(passages)
    whole: dict[Group, int] = defaultdict(int, direct)
    for each in several:
        whole[each.group] += each.weight
    unit = {group: Fraction(shares.get(group, weight), weight or 1) for group, weight in whole.items()}
    parts: dict[tuple[str, int], list[tuple[Passage, Fraction]]] = defaultdict(list)
    for each in several:
        for gateway in each.gateways:
            part = Fraction(each.weight, len(each.gateways))
            parts[gateway.address, gateway.port].append((each, part))
    told: dict[Group, list[Told]] = defaultdict(list)
    load = {group: unit[group] * weight for group, weight in direct.items()}
    for (address, port), found in sorted(parts.items()):
        group = _place(found, direct)
        # What comes after the localities of a rule has no part in their shares.
        counted = [(each, part) for each, part in found if group not in shares or each.group[1] == group[1]]
        carried = sum((unit[each.group] * part for each, part in counted), Fraction())
        weight = max(1, round(carried / unit[group])) if unit[group] else 1
        clusters = tuple(sorted({each.cluster for each, _ in found}))
        networks = tuple(sorted({each.network for each, _ in found}))
        told[group].append(Told(address, port, weight, clusters, networks))
        load[group] = load.get(group, Fraction()) + unit[group] * weight
    weights = {group: max(1, -(-part.numerator // part.denominator)) for group, part in load.items()}
    return Shown({group: tuple(each) for group, each in told.items()}, weights)


def _place(found: list[tuple[Passage, Fraction]], direct: Mapping[Group, int]) -> Group:
    """Where a gateway is told: as near as the nearest it stands for, and apart from others where that can be."""
    nearest = min(each.group[1] for each, _ in found)
    weights: dict[Group, Fraction] = defaultdict(Fraction)
    for each, part in found:
        if each.group[1] == nearest:
            weights[each.group] += part
    return min(weights, key=lambda group: (group in direct, -weights[group], group))
