"""By what a filter that asks a provider knows which calls it is asked about: what RBAC before it has found."""

from __future__ import annotations

from isthmus.envoy.types import MetadataMatcher
from isthmus.translate.authorization.rbac import ASKED, POLICY_ID, Sieve


def asked_about(sieve: Sieve, rbac: str) -> MetadataMatcher:
    """Calls that meet a policy of the sieve, as the filter `rbac` has told."""
    found = MetadataMatcher(filter=rbac)
    found.path.add(key=f"{ASKED}{POLICY_ID}")
    found.value.string_match.prefix = sieve.asks_about
    return found
