"""Listeners and upstreams that patches add: what must not stand in their way."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.message import Message

from isthmus.envoy.types import Listener
from isthmus.translate import names
from isthmus.translate.patch.soundness import fault

_TAKEN = frozenset({15000, 15001, 15006, 15020, 15021, 15053, 15090})
"""Ports of every proxy's own."""


def may_be_added(value: Message, name: str, there: Collection[str]) -> str:
    """Why a resource cannot be added to those of the names `there`; empty where it can."""
    if not name:
        return "it has no name"
    if name in there:
        return f"{name} is there already (hint: MERGE)"
    if isinstance(value, Listener):
        where = value.address.socket_address
        if where.port_value in _TAKEN:
            return f"port {where.port_value} is the proxy's own (hint: another port)"
        for bind in (where.address, "0.0.0.0", "::"):
            if names.listener(bind, where.port_value) in there:
                taken = names.listener(bind, where.port_value)
                return f"{taken} has that address and port already (hint: MERGE, or another port)"
    return fault(value)
