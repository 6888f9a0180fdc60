"""What stands for all certificates around a staged Envoy: of servers, of callers, and of itself."""

from __future__ import annotations

from fakes.pki import Pki

PKI = Pki()
SHOWN = PKI.leaf(uris=("spiffe://cluster.local/ns/default/sa/caller",), dns=("any.example.com",))
