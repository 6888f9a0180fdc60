"""How a pod's traffic comes to its proxy, in Istio's words: what proxies say of themselves, and capture does."""

from __future__ import annotations

METADATA = "INTERCEPTION_MODE"
REDIRECT, TPROXY, NONE = "REDIRECT", "TPROXY", "NONE"
MODES = (REDIRECT, TPROXY, NONE)
SOURCE_MARK = 1338
"""Of connections that a proxy makes in its caller's name: answers to that address stay in the pod."""
