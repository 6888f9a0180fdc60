"""Which entry of a VirtualService each of its routes was made from: routes themselves carry no number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from isthmus.api.istio.http_route import HTTPMatchRequest
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.envoy.types import VirtualHost
from isthmus.translate.route_match import MESH, Asker, concerns, gateway_name, takes_everything
from isthmus.translate.trace.upstream_view import named_config


class Entry(NamedTuple):
    """A rule of a VirtualService under one of its conditions; `match` is None where it has none."""

    http: int
    match: int | None
    skipped: str = ""  # why this proxy has no route of it
    is_last: bool = False  # whether it takes everything

    def __str__(self) -> str:
        return f"http[{self.http}]" + (f".match[{self.match}]" if self.match is not None else "")


def entries(rule: VirtualService, asker: Asker) -> Iterator[Entry]:
    """All entries in order, with why the asker's proxy has no route of some."""
    ended = False
    for number, http in enumerate(rule.spec.http):
        conditions: Iterable[HTTPMatchRequest | None] = http.match or (None,)
        for index, match in enumerate(conditions):
            place = index if match is not None else None
            why = not_concerned(match or HTTPMatchRequest(), asker, rule)
            takes_all = not why and not ended and takes_everything(match)
            yield Entry(
                number, place, why or ("an entry before it takes everything" if ended else ""), takes_all
            )
            ended = ended or takes_all


def not_concerned(match: HTTPMatchRequest, asker: Asker, rule: VirtualService) -> str:
    """Why no request through the asker's proxy can meet `match`; empty where one can."""
    if concerns(match, asker, rule.spec.gateways, rule.metadata.namespace):
        return ""
    bound = [gateway_name(name, rule.metadata.namespace) for name in match.gateways or rule.spec.gateways]
    if asker.gateway not in (bound or [MESH]):
        return f"is for {', '.join(bound) or MESH}, this is {asker.gateway}"
    if match.port and match.port != asker.port:
        return f"is for port {match.port}, this one is {asker.port}"
    if match.source_namespace and match.source_namespace != asker.namespace:
        return f"is for callers in namespace {match.source_namespace}, this one is in {asker.namespace}"
    labels = dict(asker.labels)
    asked = (
        (name, value) for name, value in sorted(match.source_labels.items()) if labels.get(name) != value
    )
    name, value = next(asked)
    return f"is for callers with {name}={value}, this one has {labels.get(name) or 'no such label'}"


def origins(host: VirtualHost, known: Callable[[str], Iterable[Entry]]) -> dict[int, Entry]:
    """The entry behind each route of a virtual host, by index; none for routes whose rule is not known.

    `known` gives the entries of the VirtualService `namespace/name`, for each server that lets it in.
    """
    by_config: dict[str, list[int]] = defaultdict(list)
    for index, route in enumerate(host.routes):
        if "istio" in route.metadata.filter_metadata:
            path = route.metadata.filter_metadata["istio"].fields["config"].string_value
            by_config[named_config(path, "virtual-service")].append(index)
    found: dict[int, Entry] = {}
    for config, indices in by_config.items():
        # What takes everything comes last at gateways, where several servers share a port.
        made = sorted((each for each in known(config) if not each.skipped), key=lambda each: each.is_last)
        # Another number of routes than the rule now gives: the proxy holds those of another state of it.
        if len(made) == len(indices):
            found.update(zip(indices, made, strict=True))
    return found
