"""What would be made for Gateways of the Gateway API that are written and run nowhere yet, as documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.resource import Object
from isthmus.console.drawn_pods import Tree, key_of, meta_of, namespace_of
from isthmus.model.from_gateway_api.infrastructure import infrastructure, managed_among


class MadeFor:
    """The objects of Gateways, where the documents do not have them already."""

    def __init__(self, values: Iterable[Tree]) -> None:
        several = tuple(values)
        self._written = {key_of(each) for each in several}
        self._classes = tuple(each for each in map(_typed, several) if isinstance(each, GatewayClass))

    def objects(self, value: Tree) -> Iterator[Tree]:
        """Those of one document; none where it is no Gateway, or one that gets no Envoy of its own."""
        gateway = _typed(value)
        if not isinstance(gateway, Gateway):
            return
        for each in managed_among(self._classes, (gateway,)):
            yield from (one for one in infrastructure(each) if key_of(one) not in self._written)


def _typed(value: Tree) -> Object | None:
    """The Gateway or GatewayClass in a document; None where there is none, or a wrong one."""
    if value.get("kind") not in {"Gateway", "GatewayClass"}:
        return None
    try:
        kind = kind_of(str(value.get("apiVersion", "")), str(value["kind"]))
        return decode(kind, {**value, "metadata": {**meta_of(value), "namespace": namespace_of(value)}})
    except (UnknownKind, InvalidConfig):
        return None
