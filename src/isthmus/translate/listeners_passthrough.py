"""LDS for gateways between networks: a chain for each server name that is let in, and for nothing else.

Names are matched whole and with the mesh's own ALPN. A pattern for all of them would let callers name any
upstream of the gateway, plain ones too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.envoy.types import Filter, FilterChain, FilterChainMatch, TcpProxy
from isthmus.kit.versioned import Part
from isthmus.model.scope import View
from isthmus.model.service import Service
from isthmus.translate import proto
from isthmus.translate.access_log import access_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.connections import manner
from isthmus.translate.destinations import Known, known
from isthmus.translate.gateway_servers import Opened
from isthmus.translate.guard import Checkpoint, Guard
from isthmus.translate.layers import Layers
from isthmus.translate.listener_parts import chain
from isthmus.translate.network_filters import checks
from isthmus.translate.network_filters.tcp_proxy import NAME
from isthmus.translate.passthrough import lets_in, names_of
from isthmus.translate.transport import ALL_MESH_ALPN

_FILTER_CHAINS = 3  # field number of Listener
_ATTEMPTS = 3
"""How many endpoints are tried: a dead one must not look like a dead gateway from outside."""


class Passthrough:
    """Makes chains, and remembers those of each service: one that changes costs its own."""

    def __init__(self) -> None:
        self.layers: Layers[Part | None] = Layers(None, lambda view: (view.settings.local,))

    def of(self, servers: Iterable[Opened], view: View, conduct: Conduct, guard: Guard) -> Iterator[Part]:
        """The chains of one port as parts of a Listener; no server name stands there twice."""
        automatic = [one for one in servers if one.passes_automatically]
        if not automatic:
            return iter(())

        point = Checkpoint(guard, automatic[0].port, passes=True)

        def made(view: View, service: Service, _: int) -> Part | None:
            if not any(lets_in(one, service) for one in automatic):
                return None
            here = known(view, service)
            bodies = () if here.is_local else map(proto.body, chains(here, conduct, point))
            return Part.of(proto.joined(_FILTER_CHAINS, bodies))

        patterns = tuple((one.config.metadata.namespace, tuple(one.server.hosts)) for one in automatic)
        found = self.layers.of(view, view.seen.everything, (patterns, conduct, point), made)
        return (part for part in found if part is not None and part.body)


def chains(here: Known, conduct: Conduct, point: Checkpoint) -> Iterator[FilterChain]:
    """The chains of a service: bytes go to the upstream that the server name stands for, untouched."""
    logs = access_logs(conduct, inbound=False, http=False)
    for name in names_of(here):
        match = FilterChainMatch(server_names=[name.sni], application_protocols=ALL_MESH_ALPN)
        proxy = TcpProxy(stat_prefix=name.sni, cluster=name.sni, access_log=logs)
        proxy.max_connect_attempts.value = _ATTEMPTS
        if manner([here.policy(name.port, here.subset(name.subset))]).by_source:
            proxy.hash_policy.add().source_ip.SetInParent()
        yield chain("", match, *checks(point), Filter(name=NAME, typed_config=proto.any_of(proxy)))
