"""LDS for gateways between networks: a chain for each server name that is let in, and for nothing else.

Names are matched whole and with the mesh's own ALPN. A pattern for all of them would let callers name any
upstream of the gateway, plain ones too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.envoy.types import Filter, FilterChain, FilterChainMatch, TcpProxy
from isthmus.kit.memo import Memo
from isthmus.model.scope import View
from isthmus.translate import proto
from isthmus.translate.access_log import access_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.connections import manner
from isthmus.translate.destinations import Known, known
from isthmus.translate.gateway_servers import Opened
from isthmus.translate.listener_parts import chain
from isthmus.translate.network_filters.tcp_proxy import NAME
from isthmus.translate.passthrough import lets_in, names_of
from isthmus.translate.transport import ALL_MESH_ALPN

_FILTER_CHAINS = 3  # field number of Listener
_ATTEMPTS = 3
"""How many endpoints are tried: a dead one must not look like a dead gateway from outside."""


class Passthrough:
    """Makes chains, and remembers those of each service: one that changes costs its own."""

    def __init__(self) -> None:
        self.chains: Memo[bytes] = Memo()

    def of(self, servers: Iterable[Opened], view: View, conduct: Conduct) -> bytes:
        """The chains of one port, serialised as parts of a Listener; no server name stands there twice."""
        automatic = [one for one in servers if one.passes_automatically]
        if not automatic:
            return b""
        let_in = (each for each in view.services if any(lets_in(one, each) for one in automatic))
        return b"".join(
            self._of_service(here, conduct) for each in let_in if not (here := known(view, each)).is_local
        )

    def _of_service(self, here: Known, conduct: Conduct) -> bytes:

        def make() -> bytes:
            return proto.joined(_FILTER_CHAINS, map(proto.body, chains(here, conduct)))

        return self.chains.get((here.service, here.rule, conduct), "", make)


def chains(here: Known, conduct: Conduct) -> Iterator[FilterChain]:
    """The chains of a service: bytes go to the upstream that the server name stands for, untouched."""
    logs = access_logs(conduct, inbound=False, http=False)
    for name in names_of(here):
        match = FilterChainMatch(server_names=[name.sni], application_protocols=ALL_MESH_ALPN)
        proxy = TcpProxy(stat_prefix=name.sni, cluster=name.sni, access_log=logs)
        proxy.max_connect_attempts.value = _ATTEMPTS
        if manner([here.policy(name.port, here.subset(name.subset))]).by_source:
            proxy.hash_policy.add().source_ip.SetInParent()
        yield chain("", match, Filter(name=NAME, typed_config=proto.any_of(proxy)))
