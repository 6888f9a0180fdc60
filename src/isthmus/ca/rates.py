"""How often somebody may ask: each by himself, and who belong together."""

from __future__ import annotations

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """`per_s` a second in the long run, `burst` at once."""

    per_s: float
    burst: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How often callers may ask: each address before it has proven anything, then each identity and cluster."""

    identity: Rate = Rate(per_s=10.0, burst=100.0)
    address: Rate = Rate(per_s=20.0, burst=100.0)
    cluster: Rate = Rate(per_s=1_000.0, burst=10_000.0)
