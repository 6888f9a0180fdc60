"""Discovery responses put together from resources that are bytes already; nothing is parsed or copied twice.

Field numbers are those of envoy/service/discovery/v3/discovery.proto. Protobuf lets fields come in any
order, so a ready body takes its nonce at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from isthmus.kit.protobuf import field, length
from isthmus.kit.versioned import Versioned

_ANY_TYPE_URL, _ANY_VALUE = 1, 2
_RESOURCE_VERSION, _RESOURCE_RESOURCE, _RESOURCE_NAME = 1, 2, 3
_DELTA_RESOURCES, _DELTA_TYPE_URL, _DELTA_NONCE, _DELTA_REMOVED = 2, 4, 5, 6
_SOTW_VERSION, _SOTW_RESOURCES, _SOTW_TYPE_URL, _SOTW_NONCE = 1, 2, 4, 5


def delta_response(
    type_url: str, resources: Iterable[Versioned], removed: Iterable[str], nonce: str
) -> bytes:
    """A serialised DeltaDiscoveryResponse."""
    parts: list[bytes] = []
    for each in resources:
        parts += (_head(type_url, each.name, each.version, len(each.body)), each.body)
    parts += [field(_DELTA_REMOVED, name.encode()) for name in removed]
    parts += [field(_DELTA_TYPE_URL, type_url.encode()), field(_DELTA_NONCE, nonce.encode())]
    return b"".join(parts)


def sotw_response(type_url: str, resources: Iterable[Versioned], version: str, nonce: str) -> bytes:
    """A serialised DiscoveryResponse."""
    url = type_url.encode()
    any_head = field(_ANY_TYPE_URL, url)
    parts = [field(_SOTW_RESOURCES, any_head + field(_ANY_VALUE, resource.body)) for resource in resources]
    parts += [
        field(_SOTW_VERSION, version.encode()),
        field(_SOTW_TYPE_URL, url),
        field(_SOTW_NONCE, nonce.encode()),
    ]
    return b"".join(parts)


@lru_cache(maxsize=1 << 15)
def _head(type_url: str, name: str, version: str, size: int) -> bytes:
    """All of an incremental response's resource but its body, which is its end and so many bytes long."""
    any_head = field(_ANY_TYPE_URL, type_url.encode()) + length(_ANY_VALUE, size)
    head = field(_RESOURCE_NAME, name.encode()) + field(_RESOURCE_VERSION, version.encode())
    head += length(_RESOURCE_RESOURCE, len(any_head) + size) + any_head
    return length(_DELTA_RESOURCES, len(head) + size) + head
