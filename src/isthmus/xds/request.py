"""What a proxy asks: one value for both dialects, parsed once for all proxies that send the same bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from isthmus.envoy.types import DeltaDiscoveryRequest, DiscoveryRequest
from isthmus.xds.node import ProxyNode, proxy_node
from isthmus.xds.snapshot import EMPTY, NOTHING, Snapshot, one


@dataclass(frozen=True, slots=True)
class Request:
    """A request of either dialect, as plain values."""

    type_url: str
    subscribe: frozenset[str] = NOTHING
    """Names to add; in the state-of-the-world dialect all that are wanted."""
    unsubscribe: frozenset[str] = NOTHING
    initial: Snapshot = EMPTY
    """What the proxy holds from an earlier stream (incremental dialect)."""
    version: str = ""
    """What it accepted last (state of the world)."""
    nonce: str = ""
    """The response that this one answers; empty where it answers none."""
    error: str | None = None
    """Why that response was rejected; None where it was accepted."""
    node: ProxyNode | None = None


class InvalidRequest(ValueError):
    """Bytes that are no discovery request."""


_LONGEST = 4096
"""Characters of a name or an id, which are kept for as long as a proxy stays."""


def parse_delta(message: bytes) -> Request:
    """The incremental request in `message`. Raises `InvalidRequest`."""
    try:
        parsed = DeltaDiscoveryRequest.FromString(message)
    except DecodeError as error:
        raise InvalidRequest(f"not a DeltaDiscoveryRequest: {error}") from error
    _check(parsed.resource_names_subscribe, parsed.type_url, parsed.node.id)
    return Request(
        type_url=parsed.type_url,
        subscribe=one(parsed.resource_names_subscribe),
        unsubscribe=one(parsed.resource_names_unsubscribe),
        initial=Snapshot.of(dict(parsed.initial_resource_versions)),
        nonce=parsed.response_nonce,
        error=parsed.error_detail.message if parsed.HasField("error_detail") else None,
        node=proxy_node(parsed.node) if parsed.HasField("node") else None,
    )


def parse_sotw(message: bytes) -> Request:
    """The state-of-the-world request in `message`. Raises `InvalidRequest`."""
    try:
        parsed = DiscoveryRequest.FromString(message)
    except DecodeError as error:
        raise InvalidRequest(f"not a DiscoveryRequest: {error}") from error
    _check(parsed.resource_names, parsed.type_url, parsed.node.id)
    return Request(
        type_url=parsed.type_url,
        subscribe=one(parsed.resource_names),
        version=parsed.version_info,
        nonce=parsed.response_nonce,
        error=parsed.error_detail.message if parsed.HasField("error_detail") else None,
        node=proxy_node(parsed.node) if parsed.HasField("node") else None,
    )


def _check(names: Iterable[str], type_url: str, node_id: str) -> None:
    longest = max((len(each) for each in (*names, type_url, node_id)), default=0)
    if longest > _LONGEST:
        raise InvalidRequest(f"a name of {longest} characters, of which there may be {_LONGEST}")


class Reader:
    """Parses, and remembers what it parsed last by the bytes it came as.

    Proxies with the same view subscribe and acknowledge with the same bytes, so most requests cost one
    look-up. What names a node is not kept: no two are equal.
    """

    def __init__(self, parse: Callable[[bytes], Request], limit_bytes: int = 4 << 20) -> None:
        self._parse, self._limit_bytes = parse, limit_bytes
        self._known: OrderedDict[bytes, Request] = OrderedDict()
        self._bytes = 0

    def read(self, message: bytes) -> Request:
        """The request in `message`. Raises `InvalidRequest`."""
        known = self._known.get(message)
        if known is not None:
            return known
        request = self._parse(message)
        if request.node is None:
            self._known[message] = request
            self._bytes += len(message) + _OVERHEAD
            while self._bytes > self._limit_bytes:
                oldest, _ = self._known.popitem(last=False)
                self._bytes -= len(oldest) + _OVERHEAD
        return request


_OVERHEAD = 500
"""About what an entry costs beside its bytes."""
