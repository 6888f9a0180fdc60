"""rbac and ext_authz: which requests are let in, by AuthorizationPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from isthmus.envoy.types import EnvoyHttpFilter, HttpRbac
from isthmus.translate import proto
from isthmus.translate.authorization.asking import asked_about
from isthmus.translate.authorization.external import about_requests
from isthmus.translate.authorizing import sieves_at
from isthmus.translate.guard import Checkpoint

RBAC = "envoy.filters.http.rbac"
EXT_AUTHZ = "envoy.filters.http.ext_authz"


def in_chain(point: Checkpoint) -> Iterator[EnvoyHttpFilter]:
    """The filters of all policies that hold at a port: CUSTOM, AUDIT, DENY, ALLOW."""
    for each in sieves_at(point, requests=True):
        config = HttpRbac(
            rules=each.rules, shadow_rules=each.shadow, shadow_rules_stat_prefix=each.shadow_prefix
        )
        yield _filter(RBAC, config)
        if each.authorizer is not None:
            yield _filter(EXT_AUTHZ, about_requests(each.authorizer, asked_about(each, RBAC)))


def _filter(name: str, config: Message) -> EnvoyHttpFilter:
    return EnvoyHttpFilter(name=name, typed_config=proto.any_of(config))
