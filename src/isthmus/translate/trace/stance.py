"""What a proxy would take beside what it is sent: mutual TLS, plain text, or both."""

from __future__ import annotations

from enum import Enum

from msgspec.structs import replace

from isthmus.translate.trace.call import Call, Hello, Speech
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.steps import Closed, Trace
from isthmus.translate.trace.walk import Side, trace
from isthmus.translate.transport import upstream_alpn


class Stance(Enum):
    """How callers may come, in Istio's words."""

    PERMISSIVE = "permissive: mutual TLS and plain text are taken"
    STRICT = "strict: mutual TLS alone is taken"
    TLS = "TLS alone is taken, with no certificate asked of callers"
    PLAIN = "plain text alone is taken"
    NEITHER = ""


def stance(held: Held, call: Call, side: Side, identity: str) -> Stance:
    """What is taken where `call` arrives, of callers as `identity` with the mesh's TLS, and of those without.

    Raises `Untraceable` where the resources say something that is not known here.
    """
    alpn = upstream_alpn(call.speech.is_http, call.speech is Speech.HTTP2)
    hello = Hello(sni=call.hello.sni if call.hello else "", alpn=tuple(alpn), identity=identity)
    mutual = _is_taken(trace(held, replace(call, hello=hello), side))
    plain = _is_taken(trace(held, replace(call, hello=None), side))
    if mutual and not plain:
        nobody = replace(call, hello=replace(hello, identity="", alpn=()))
        return Stance.TLS if _is_taken(trace(held, nobody, side)) else Stance.STRICT
    if plain:
        return Stance.PERMISSIVE if mutual else Stance.PLAIN
    return Stance.NEITHER


def _is_taken(found: Trace) -> bool:
    return not all(isinstance(each.action, Closed) for each in found.branches)
