"""rbac and ext_authz: which requests are let in, by AuthorizationPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from isthmus.envoy.types import EnvoyHttpFilter, HttpRbac
from isthmus.translate import proto
from isthmus.translate.authorization.asking import asked_about
from isthmus.translate.authorization.external import about_requests
from isthmus.translate.authorization.rbac import Sieve
from isthmus.translate.authorizing import sieves_at
from isthmus.translate.guard import Checkpoint

RBAC = "envoy.filters.http.rbac"
EXT_AUTHZ = "envoy.filters.http.ext_authz"


def in_chain(point: Checkpoint) -> Iterator[EnvoyHttpFilter]:
    """The filters of policies that hold at a port: CUSTOM that looks at tokens, AUDIT, DENY, ALLOW."""
    for each in sieves_at(point, requests=True):
        if not each.before_tokens:
            yield from filters_of(each)


def filters_of(sieve: Sieve) -> Iterator[EnvoyHttpFilter]:
    """One of RBAC, and the one that asks about what it finds."""
    config = HttpRbac(
        rules=sieve.rules, shadow_rules=sieve.shadow, shadow_rules_stat_prefix=sieve.shadow_prefix
    )
    yield _filter(RBAC, config)
    if sieve.authorizer is not None:
        yield _filter(EXT_AUTHZ, about_requests(sieve.authorizer, asked_about(sieve, RBAC)))


def _filter(name: str, config: Message) -> EnvoyHttpFilter:
    return EnvoyHttpFilter(name=name, typed_config=proto.any_of(config))
