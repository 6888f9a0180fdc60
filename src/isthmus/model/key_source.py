"""Where the keys of issuers are fetched from, and what is known of them, as whoever fetches them last told it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from isthmus.api.istio.key_uri import wrong_uri
from isthmus.api.istio.request_authentication import JWTRule, RequestAuthentication
from isthmus.api.resource import Object, Ref
from isthmus.kit import date
from isthmus.kit.jwks import KeySet
from isthmus.model.change import UNKNOWN, Change, ChangeKey
from isthmus.model.findings import Code, Finding
from isthmus.model.names import ClusterId

_WELL_KNOWN = "/.well-known/openid-configuration"
_JWKS, _OPENID = "Jwks", "OpenIDConfiguration"
KINDS = frozenset({_JWKS, _OPENID})
"""By which what is fetched is spoken of in changes."""


class KeySource(NamedTuple):
    """A place from which keys are fetched."""

    uri: str
    issuer: str = (
        ""  # not empty: the page at `uri` is what this issuer says of itself, and where its keys are
    )

    @property
    def ref(self) -> Ref:
        """By which changes name it."""
        return Ref(_OPENID, "", self.issuer) if self.issuer else Ref(_JWKS, "", self.uri)


def source_of(rule: JWTRule) -> KeySource | None:
    """Where the keys of a rule are fetched from; None where it has them itself."""
    if rule.jwks:
        return None
    if rule.keys_at:
        return KeySource(rule.keys_at)
    return _asked(rule.issuer)


def source_named(ref: Ref) -> KeySource:
    """The source that a change is about."""
    return _asked(ref.name) if ref.kind == _OPENID else KeySource(ref.name)


def _asked(issuer: str) -> KeySource:
    """What an issuer says of itself. Source: OpenID Connect Discovery 1.0, section 4."""
    return KeySource(f"{issuer.removesuffix('/')}{_WELL_KNOWN}", issuer)


def sources_of(found: RequestAuthentication) -> Iterator[KeySource]:
    """From where the keys of its rules are fetched."""
    yield from (source for rule in found.spec.jwt_rules if (source := source_of(rule)) is not None)


def never_fetched(source: KeySource) -> str:
    """Why there is nothing to be fetched; empty where there may be."""
    if source.issuer and wrong_uri(source.uri):
        return f"the issuer {source.issuer!r} is no URL at which keys could be asked for (hint: jwksUri, or jwks)"
    return ""


class GoodKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that a source has shown."""

    keys: KeySet
    fetched_at: float  # when it did last, since the epoch


class FetchedKeys(Object, frozen=True, kw_only=True):
    """The last good keys of a source: a fact like those of clusters."""

    keys: KeySet
    trouble: str = ""
    since: str = ""


class IssuerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source's keys: the last good ones, and why there are no newer ones."""

    keys: KeySet | None = None
    trouble: str = ""
    since: str = ""  # where there is trouble: when the keys were fetched


def keys_at(source: KeySource, known: Mapping[KeySource, IssuerKeys]) -> KeySet | None:
    """The last good keys of a source; None where none are known."""
    found = known.get(source)
    return found.keys if found is not None else None


def fetched(cluster: ClusterId, source: KeySource, keys: KeySet) -> Change:
    """The change that `source` has these keys; `cluster` is the configuration's."""
    return Change(ChangeKey(cluster, source.ref), FetchedKeys(keys=keys))


def outlasting(cluster: ClusterId, source: KeySource, good: GoodKeys, why: str) -> Change:
    """The change that `source` could not be asked, and that its last good keys hold meanwhile."""
    since = date.show(good.fetched_at)
    return Change(ChangeKey(cluster, source.ref), FetchedKeys(keys=good.keys, trouble=why, since=since))


def not_fetched(cluster: ClusterId, source: KeySource, why: str) -> Change:
    """The change that `source` could not be asked, or has no keys."""
    return Change(ChangeKey(cluster, source.ref), Finding(ref=source.ref, message=why, code=Code.NO_KEYS))


def forgotten(cluster: ClusterId, source: KeySource) -> Change:
    """The change that nobody asks `source` any more."""
    return Change(ChangeKey(cluster, source.ref), UNKNOWN)
