"""Headers that routes add to requests, for those proxies alone that are told otherwise than most (`proxyHeaders`).

Proxies share virtual hosts, so these are made as they are usual, and changed where a proxy asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from isthmus.api.istio.proxy_config import ProxyHeaders
from isthmus.envoy.types import RouteConfiguration
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.translate import proto


class RouteHeaders:
    """Changes route configurations, and remembers."""

    def __init__(self) -> None:
        self.changed: Memo[Versioned] = Memo()

    def change(self, made: Iterable[Versioned], found: ProxyHeaders) -> Iterable[Versioned]:
        """`made`, with the headers that `found` asks for."""
        counted = found.attempt_count is None or not found.attempt_count.disabled
        told = found.x_forwarded_host is not None and bool(found.x_forwarded_host.enabled)
        if counted and not told:
            return made
        asked = (counted, told)
        return (self.changed.get((one,), asked, partial(_changed, one, *asked)) for one in made)


def _changed(one: Versioned, counted: bool, told: bool) -> Versioned:
    """`one`, whose requests say the number of the attempt, and the host before it was rewritten."""
    config = RouteConfiguration.FromString(one.body)
    for host in config.virtual_hosts:
        host.include_request_attempt_count = counted
        for route in host.routes:
            if route.route.WhichOneof("host_rewrite_specifier") is not None:
                route.route.append_x_forwarded_host = told
    return Versioned.of(one.name, proto.body(config))
