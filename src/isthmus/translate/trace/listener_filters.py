"""What an Envoy finds out about a connection before it chooses a filter chain."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.envoy.types import Listener, ListenerFilterChainMatchPredicate
from isthmus.translate.trace.call import Call, Speech, Untraceable

_IGNORED = frozenset({"original_dst", "proxy_protocol", "original_src", "local_ratelimit"})
_SPOKEN = {Speech.HTTP1: "http/1.1", Speech.HTTP2: "h2c"}


class Seen(NamedTuple):
    """What filter chains can match on, beside addresses."""

    transport: str = "raw_buffer"
    sni: str = ""
    protocols: tuple[str, ...] = ()
    timed_out: bool = False  # nothing came that a filter waited for

    def __str__(self) -> str:
        parts = [{"raw_buffer": "plain text", "tls": "TLS"}.get(self.transport, self.transport)]
        if self.sni:
            parts.append(f"SNI {self.sni}")
        if self.protocols:
            parts.append(" ".join(self.protocols))
        return ", ".join(parts)


def seen(listener: Listener, call: Call) -> Seen:
    """What the listener's filters find out about `call`, in their order."""
    found = Seen()
    for one in listener.listener_filters:
        kind = one.name.rpartition(".")[2]
        if one.HasField("filter_disabled") and _holds(one.filter_disabled, call):
            continue
        is_silent = call.hello is None and call.speech is Speech.SILENCE
        if is_silent and kind in {"tls_inspector", "http_inspector"}:
            found = found._replace(timed_out=True)
        elif kind == "tls_inspector":
            if call.hello is not None:
                found = Seen("tls", call.hello.sni.lower(), call.hello.alpn)
        elif kind == "http_inspector":
            if call.hello is None and found.transport == "raw_buffer" and call.speech in _SPOKEN:
                found = found._replace(protocols=(_SPOKEN[call.speech],))
        elif kind not in _IGNORED:
            raise Untraceable(
                f"listener {listener.name}: listener filter {one.name} is not known to the trace"
            )
    return found


def _holds(predicate: ListenerFilterChainMatchPredicate, call: Call) -> bool:
    match predicate.WhichOneof("rule"):
        case "or_match":
            return any(_holds(each, call) for each in predicate.or_match.rules)
        case "and_match":
            return all(_holds(each, call) for each in predicate.and_match.rules)
        case "not_match":
            return not _holds(predicate.not_match, call)
        case "any_match":
            return predicate.any_match
        case "destination_port_range":
            return predicate.destination_port_range.start <= call.port < predicate.destination_port_range.end
        case other:
            raise Untraceable(f"a listener filter is switched off by {other}, which the trace does not know")
