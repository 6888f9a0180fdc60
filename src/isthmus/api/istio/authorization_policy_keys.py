"""The keys of an AuthorizationPolicy's `when`. Two are our own. Source: Istio's "Authorization Policy Conditions"."""

from __future__ import annotations

import re
from typing import NamedTuple

CLUSTER, CEL = "source.cluster", "cel"
"""What Istio has not. As keys they pass the definitions of Istio's own kinds, too: no field of theirs is cut off."""
ADDRESSES = frozenset({"source.ip", "remote.ip", "destination.ip"})
PORTS = frozenset({"destination.port"})
FILTER = "experimental.envoy.filters."
"""How keys begin that look at what a filter of Envoy says: `experimental.envoy.filters.FILTER[NAME]`."""
_PLAIN = (
    "source.ip", "remote.ip", "source.namespace", "source.serviceAccount", "source.trustDomain",
    "source.principal", CLUSTER, "request.auth.principal", "request.auth.audiences",
    "request.auth.presenter", "destination.ip", "destination.port", "connection.sni", CEL,
)  # fmt: skip
KEYS = (*_PLAIN, "request.headers[NAME]", "request.auth.claims[NAME]", f"{FILTER}FILTER[NAME]")
"""All of them, as messages name them."""
_PARTS = re.compile(r"(?:\[[^\[\]]+\])+")


class Key(NamedTuple):
    """A key: what it is called, and what it looks at there."""

    name: str
    parts: tuple[str, ...] = ()

    @property
    def of_requests(self) -> bool:
        """Whether connections of which no requests are known have nothing of it."""
        return self.name.startswith("request.")


def key_of(text: str) -> Key | None:
    """The key that `text` is; None: there is no such key."""
    if text in _PLAIN:
        return Key(text)
    name, bracket, rest = text.partition("[")
    if not bracket or not _PARTS.fullmatch(bracket + rest):
        return None
    parts = tuple(rest[:-1].split("]["))
    if name == "request.headers" and len(parts) == 1:
        return Key(name, parts)
    if name == "request.auth.claims":
        return Key(name, parts)
    if name.startswith(FILTER) and len(name) > len(FILTER) and len(parts) == 1:
        return Key(name, parts)
    return None
