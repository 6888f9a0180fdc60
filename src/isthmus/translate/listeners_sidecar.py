"""LDS for what a Sidecar asks for by address: sockets of its ingress, and where its egress is called.

A listener that is captured has no socket: calls are handed to it. One with captureMode NONE has, and so has one at
a path of the file system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from isthmus.api.istio.sidecar import Sidecar
from isthmus.envoy.types import Listener
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.scope import View
from isthmus.model.service import Protocol
from isthmus.translate import proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.connection_rules import TcpRules
from isthmus.translate.destinations import destinations_of
from isthmus.translate.egress import Called, called
from isthmus.translate.entrances import Entrance, about
from isthmus.translate.errors import Unsayable
from isthmus.translate.guard import Guard
from isthmus.translate.listener_parts import ALWAYS_OPEN, chain, tls_inspector
from isthmus.translate.listeners_inbound import socket_listener
from isthmus.translate.listeners_outbound import Claim, Seen, tcp_chains
from isthmus.translate.types import LISTENER


def called_listener(one: Called, seen: Seen) -> Listener:
    """The listener of such a place. Raises `Unsayable` where nothing is shown that could be called there."""
    view, conduct = seen
    if not one.is_path and one.number in {0, *ALWAYS_OPEN, *conduct.sockets}:
        said = f"{one.number} is the proxy's own" if one.number else "is missing"
        raise Unsayable(f"{one.path}.port.number", f"{said} (hint: the port that the application calls)")
    listener = Listener(
        name=one.name, address=proto.place(one.bind, one.number), traffic_direction="OUTBOUND"
    )
    if not one.is_path and one.listener.capture_mode != "NONE":
        listener.bind_to_port.value = False
    if one.protocol.is_http:
        manager = Manager(
            face=Face.OUTBOUND,
            stat_prefix=f"outbound_{one.name};",
            routes=one.routes,
            conduct=conduct,
        )
        listener.filter_chains.append(chain("", None, connection_manager(manager)))
        return listener
    claim = _claim(one, view)
    rule = view.virtual_service(claim.service.key.hostname)
    rules = {claim.service.key: TcpRules(rule, destinations_of(view, rule))} if rule is not None else {}
    *narrower, rest = tcp_chains(claim, rules, seen)
    listener.filter_chains.extend(narrower)
    if any(each.filter_chain_match.transport_protocol == "tls" for each in narrower):
        listener.listener_filters.append(tls_inspector())
    listener.default_filter_chain.CopyFrom(rest)
    return listener


def _claim(one: Called, view: View) -> Claim:
    """The oldest service that is shown there and takes connections."""
    shown = [
        Claim(one.bind, service, port)
        for service, port in view.shown_by(one.listener)
        if not port.protocol.is_http and port.protocol is not Protocol.UDP
    ]
    if not shown:
        at = f" on port {one.number}" if one.number else ""
        raise Unsayable(f"{one.path}.hosts", f"shows no service that takes connections{at}")
    return min(shown, key=lambda claim: (claim.service.created, claim.service.key, claim.port.number))


class OwnListeners:
    """Makes them, for the Sidecar of a view."""

    def __init__(self, checked: Checked[Versioned]) -> None:
        self._checked = checked
        self.called: Memo[Mapping[str, Versioned]] = Memo()
        self.sockets: Memo[Versioned | None] = Memo()

    def of(self, seen: Seen, taken: Iterable[Entrance], guard: Guard) -> dict[str, Versioned]:
        """All of a proxy that takes these ports in."""
        sidecar = seen[0].sidecar
        if sidecar is None:
            return {}
        outbound = self.called.get(seen, "", lambda: self._called(seen, sidecar))
        inbound = (self._socket((seen[1], guard), sidecar, one) for one in taken if one.socket)
        return {**outbound, **{made.name: made for made in inbound if made}}

    def _called(self, seen: Seen, sidecar: Sidecar) -> dict[str, Versioned]:
        view, conduct = seen
        scope = ("called", view.cluster, view.namespace, view.labels, conduct)
        made = (
            self._checked.keep(
                Slot(LISTENER, one.name, None, scope),
                about(sidecar),
                partial(called_listener, one, seen),
                proto.sealed,
            )
            for one in called(sidecar)
        )
        return {one.name: one for one in made if one}

    def _socket(self, how: tuple[Conduct, Guard], sidecar: Sidecar, one: Entrance) -> Versioned | None:
        slot = Slot(LISTENER, one.listener, None, ("socket", about(sidecar), one.known_as, how[0]))
        return self.sockets.get(
            (sidecar, *how),
            (one.number, one.known_as),
            lambda: self._checked.keep(
                slot, about(sidecar), lambda: socket_listener(one, *how), proto.sealed
            ),
        )
