"""Whose tokens a workload believes: the rules of all RequestAuthentications that hold for it, each with its keys.

Source: Istio's RequestAuthentication reference: rules add up, and are told apart by issuer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from isthmus.api.istio.request_authentication import JWTRule, RequestAuthentication
from isthmus.api.resource import Ref
from isthmus.kit.jwks import InvalidJwks, KeySet, read_jwks
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.key_source import IssuerKeys, KeySource, keys_at, never_fetched, source_of
from isthmus.model.mesh import Mesh


class Issuer(NamedTuple):
    """A rule, and the keys by which tokens are believed; None: none of them is, for there are no keys."""

    rule: JWTRule
    keys: KeySet | None


def issuers(
    found: Iterable[RequestAuthentication], known: Mapping[KeySource, IssuerKeys]
) -> tuple[Issuer, ...]:
    """The issuers of all of these, by name; those of one name in the order in which they were given."""
    rules = sorted((rule for each in found for rule in each.spec.jwt_rules), key=lambda rule: rule.issuer)
    return tuple(Issuer(rule, keys_of(rule, known)) for rule in rules)


def keys_of(rule: JWTRule, known: Mapping[KeySource, IssuerKeys]) -> KeySet | None:
    """The keys of a rule: its own, or the last good ones of where they are fetched; None where there are none."""
    source = source_of(rule)
    return own_keys(rule.jwks) if source is None else keys_at(source, known)


@lru_cache(maxsize=1024)
def own_keys(jwks: str) -> KeySet | None:
    """The keys that stand in a rule; the same object for the same text. None where there are none."""
    try:
        return read_jwks(jwks, with_secrets=True)
    except InvalidJwks:
        return None  # nobody decodes such an object


def unknown_keys(mesh: Mesh) -> Iterator[Finding]:
    """The issuers whom nobody has asked for keys: so it is where a mesh is made of files."""
    for found in mesh.of(RequestAuthentication):
        for index, rule in enumerate(found.spec.jwt_rules):
            source = source_of(rule)
            if source is None or source in mesh.key_sets or never_fetched(source):
                continue
            yield Finding(
                ref=Ref("RequestAuthentication", found.metadata.namespace, found.metadata.name),
                path=f"$.spec.jwtRules[{index}]",
                message=f"the keys of {rule.issuer} are unknown here: a key that nobody has stands for them",
                severity=Severity.INFO,
                code=Code.NO_KEYS,
            )
