"""Which entry of a VirtualService each of its routes was made from: routes themselves carry no number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from isthmus.api.istio.http_route import HTTPMatchRequest
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.envoy.types import VirtualHost
from isthmus.translate.route_match import Asker, concerns, gateway_name, takes_everything
from isthmus.translate.trace.upstream_view import named_config


class Entry(NamedTuple):
    """A rule of a VirtualService under one of its conditions; `match` is None where it has none."""

    http: int
    match: int | None
    skipped: str = ""  # why this proxy has no route of it

    def __str__(self) -> str:
        return f"http[{self.http}]" + (f".match[{self.match}]" if self.match is not None else "")


def entries(rule: VirtualService, asker: Asker) -> Iterator[Entry]:
    """All entries in order, with why the asker's proxy has no route of some."""
    ended = False
    for number, http in enumerate(rule.spec.http):
        conditions: Iterable[HTTPMatchRequest | None] = http.match or (None,)
        for index, match in enumerate(conditions):
            place = index if match is not None else None
            if ended:
                yield Entry(number, place, "an entry before it takes everything")
                continue
            why = not_concerned(match or HTTPMatchRequest(), asker, rule)
            yield Entry(number, place, why)
            ended = not why and takes_everything(match)


def not_concerned(match: HTTPMatchRequest, asker: Asker, rule: VirtualService) -> str:
    """Why no request through the asker's proxy can meet `match`; empty where one can."""
    if concerns(match, asker, rule.spec.gateways, rule.metadata.namespace):
        return ""
    if match.port and match.port != asker.port:
        return f"is for port {match.port}, this one is {asker.port}"
    if match.source_namespace and match.source_namespace != asker.namespace:
        return f"is for callers in namespace {match.source_namespace}, this one is in {asker.namespace}"
    labels = dict(asker.labels)
    for name, value in sorted(match.source_labels.items()):
        if labels.get(name) != value:
            return f"is for callers with {name}={value}, this one has {labels.get(name) or 'no such label'}"
    bound = match.gateways or rule.spec.gateways
    names = ", ".join(gateway_name(name, rule.metadata.namespace) for name in bound) or "mesh"
    return f"is for {names}, this is {asker.gateway}"


Asked = Callable[[str], tuple[VirtualService, Asker] | None]
"""The VirtualService `namespace/name` with the asker for whom its routes were made, where both are known."""


def origins(host: VirtualHost, known: Asked) -> dict[int, Entry]:
    """The entry behind each route of a virtual host, by index; none for routes whose rule is not known."""
    by_config: dict[str, list[int]] = defaultdict(list)
    for index, route in enumerate(host.routes):
        if "istio" in route.metadata.filter_metadata:
            path = route.metadata.filter_metadata["istio"].fields["config"].string_value
            by_config[named_config(path, "virtual-service")].append(index)
    found: dict[int, Entry] = {}
    for config, indices in by_config.items():
        asked = known(config)
        made = [entry for entry in entries(*asked) if not entry.skipped] if asked else []
        # Another number of routes than the rule now gives: the proxy holds those of another state of it.
        if len(made) == len(indices):
            found.update(zip(indices, made, strict=True))
    return found
