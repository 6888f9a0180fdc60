"""Discovery responses put together from resources that are bytes already; nothing is parsed or copied twice.

Field numbers are those of envoy/service/discovery/v3/discovery.proto. Protobuf lets fields come in any
order, so a ready body takes its nonce at the end.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.kit.protobuf import field
from isthmus.kit.versioned import Versioned

_ANY_TYPE_URL, _ANY_VALUE = 1, 2
_RESOURCE_VERSION, _RESOURCE_RESOURCE, _RESOURCE_NAME = 1, 2, 3
_DELTA_RESOURCES, _DELTA_TYPE_URL, _DELTA_NONCE, _DELTA_REMOVED = 2, 4, 5, 6
_SOTW_VERSION, _SOTW_RESOURCES, _SOTW_TYPE_URL, _SOTW_NONCE = 1, 2, 4, 5


def delta_response(
    type_url: str, resources: Iterable[Versioned], removed: Iterable[str], nonce: str
) -> bytes:
    """A serialised DeltaDiscoveryResponse."""
    url = type_url.encode()
    any_head = field(_ANY_TYPE_URL, url)
    parts = [
        field(
            _DELTA_RESOURCES,
            field(_RESOURCE_NAME, resource.name.encode())
            + field(_RESOURCE_VERSION, resource.version.encode())
            + field(_RESOURCE_RESOURCE, any_head + field(_ANY_VALUE, resource.body)),
        )
        for resource in resources
    ]
    parts += [field(_DELTA_REMOVED, name.encode()) for name in removed]
    parts += [field(_DELTA_TYPE_URL, url), field(_DELTA_NONCE, nonce.encode())]
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
