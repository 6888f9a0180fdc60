"""How connections are passed on, beside where they go: what DestinationRules say of those that are no requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.kit import duration
from isthmus.translate.errors import Unsayable
from isthmus.translate.upstream_policy import Policy


@dataclass(frozen=True, slots=True)
class Manner:
    """What holds for all connections of one filter chain."""

    idle_s: float | None = None  # closed when no byte has passed for so long; None: as Envoy has it
    longest_s: float | None = None  # closed after so long; None: never
    by_source: bool = False  # the caller's address decides over the endpoint
    through: str = ""  # `host:port` that the upstream, an HTTP proxy, is asked for; empty: no tunnel
    by_post: bool = False  # asked with POST in place of CONNECT
    waits: bool = False  # the upstream is called once the first bytes have come, and passed


USUAL = Manner()


def manner(policies: Iterable[Policy]) -> Manner:
    """That of the first policy that says anything of it: connections to several upstreams share one.

    Raises `Unsayable` where some of several upstreams are reached through a tunnel and others are not.
    """
    each = [_of(policy) for policy in policies] or [USUAL]
    if len({(one.through, one.by_post) for one in each}) > 1:
        reason = (
            "leads to destinations with and without a tunnel, or through several (hint: one route for each)"
        )
        raise Unsayable("route", reason)
    return next((one for one in each if one != USUAL), USUAL)


def _of(policy: Policy) -> Manner:
    tcp, tunnel, hashing = policy.tcp, policy.tunnel, policy.consistent_hash
    return Manner(
        idle_s=duration.parse(tcp.idle_timeout) if tcp.idle_timeout else None,
        longest_s=duration.parse(tcp.max_connection_duration) if tcp.max_connection_duration else None,
        by_source=hashing is not None and bool(hashing.use_source_ip),
        through=f"{_bracketed(tunnel.target_host)}:{tunnel.target_port}" if tunnel else "",
        by_post=tunnel is not None and tunnel.protocol == "POST",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
