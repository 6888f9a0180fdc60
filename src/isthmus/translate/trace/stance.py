"""What a proxy would take beside what it is sent: mutual TLS, plain text, or both."""

from __future__ import annotations

from enum import Enum

from msgspec.structs import replace

from isthmus.translate.trace import datagrams
from isthmus.translate.trace.call import Call, Hello, Speech
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.routing import without_port
from isthmus.translate.trace.steps import Closed, Says, Tls, Trace
from isthmus.translate.trace.walk import Side, trace
from isthmus.translate.transport import upstream_alpn


class Stance(Enum):
    """How callers may come, in Istio's words."""

    PERMISSIVE = "permissive: mutual TLS and plain text are taken"
    STRICT = "strict: mutual TLS alone is taken"
    TLS = "TLS alone is taken, with no certificate asked of callers"
    OPTIONAL = "TLS alone is taken; callers are asked for a certificate that they need not have"
    PLAIN = "plain text alone is taken"
    DISABLED = "disabled: plain text is taken; TLS, if there is any, is the application's own"
    BYTES = "bytes pass as they are, in TLS or not"
    TLS_PASSES = "TLS alone is let through, unopened: who is behind decides"
    MESH_PASSES = "mutual TLS of the mesh alone is let through, unopened: who is behind decides"
    DATAGRAMS = "permissive: tunnels in mutual TLS are taken, and plain datagrams pass the proxy by"
    PLAIN_DATAGRAMS = "plain datagrams alone are taken: they pass the proxy by"
    NEITHER = ""


def stance(held: Held, call: Call, side: Side, identity: str) -> Stance:
    """What is taken where `call` arrives, of callers as `identity` with the mesh's TLS, and of those without.

    Raises `Untraceable` where the resources say something that is not known here.
    """
    if call.speech is Speech.DATAGRAMS:
        return Stance.DATAGRAMS if datagrams.tunnels_end(held, call) else Stance.PLAIN_DATAGRAMS
    alpn = upstream_alpn(call.speech.is_http, call.speech is Speech.HTTP2)
    hello = Hello(sni=_server_name(call, side), alpn=tuple(alpn), identity=identity)
    mutual = trace(held, replace(call, hello=hello), side)
    ending = mutual.listener.tls if mutual.listener is not None else Tls()
    if not _is_taken(mutual) and ending.expects:
        hello = replace(hello, identity=ending.expects[0].rstrip("*"))
        mutual = trace(held, replace(call, hello=hello), side)
    plain = _is_taken(trace(held, _in_plain_text(call), side))
    if not _is_taken(mutual):
        return Stance.PLAIN if plain else Stance.NEITHER
    if side is Side.INBOUND and ending.mode == "plain":
        return Stance.DISABLED
    unopened = side is Side.GATEWAY and ending.mode == "plain"
    if plain:
        return Stance.BYTES if unopened else Stance.PERMISSIVE
    nobody = _is_taken(trace(held, replace(call, hello=replace(hello, identity="", alpn=())), side))
    if unopened:
        return Stance.TLS_PASSES if nobody else Stance.MESH_PASSES
    if nobody:
        return Stance.OPTIONAL if ending.asks else Stance.TLS
    return Stance.STRICT


def _server_name(call: Call, side: Side) -> str:
    """What a caller in TLS would say; at a gateway the host of the request, where it is not said."""
    if call.hello is not None:
        return call.hello.sni
    return without_port(call.request.host) if call.request is not None and side is Side.GATEWAY else ""


def _in_plain_text(call: Call) -> Call:
    """The same without TLS; a request that was in it is one then."""
    speech = Speech.HTTP1 if call.request is not None and call.speech is Speech.BYTES else call.speech
    return replace(call, hello=None, speech=speech)


def _is_taken(found: Trace) -> bool:
    """Whether the connection is one that is taken; who may call whom is another question."""
    if any(each.says is Says.REFUSES for each in found.verdicts):
        return True
    return not all(isinstance(each.action, Closed) for each in found.branches)
