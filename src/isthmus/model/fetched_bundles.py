"""The bundles that settings name by URL (`spiffeBundleUrl`), as whoever fetches them told it: the last good ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.resource import Object, Ref
from isthmus.model import maps
from isthmus.model.change import UNKNOWN, Change, ChangeKey
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.model.names import ClusterId

_KIND = "SpiffeBundle"
"""By which what is fetched is spoken of in changes."""


class FetchedBundle(Object, frozen=True, kw_only=True):
    """What a URL answered: a fact like those of clusters."""

    roots: str


class KnownBundle(msgspec.Struct, frozen=True):
    """What is known of a URL: the last good roots (PEM), and why there are no newer ones."""

    roots: str = ""
    trouble: str = ""


Known = Mapping[str, KnownBundle]


def place(url: str) -> str:
    """As much of a URL as findings say."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def urls_of(found: MeshConfig) -> Iterator[str]:
    """The URLs that settings name, as far as they have their effect."""
    for each in found.ca_certificates:
        if each.spiffe_bundle_url and each.trust_domains:
            yield each.spiffe_bundle_url


def urls_named(change: Change, settings: ChangeKey) -> frozenset[str] | None:
    """The URLs that are named after a change of the mesh's settings; None: it is another change, or they stay."""
    if change.key != settings:
        return None
    match change.value:
        case None:
            return frozenset()
        case ConfigMap(data=data):
            try:
                return frozenset(urls_of(checked_mesh_config(data.get("mesh", ""))[0]))
            except InvalidConfig:
                return None  # the last good settings hold, and so does what they name
    return None


def fetched(cluster: ClusterId, url: str, roots: str) -> Change:
    """The change that a bundle with these roots is at `url`; `cluster` is the configuration's."""
    return Change(_key(cluster, url), FetchedBundle(roots=roots))


def not_fetched(cluster: ClusterId, url: str, why: str) -> Change:
    """The change that no bundle came from `url`."""
    key = _key(cluster, url)
    return Change(key, Finding(ref=key.ref, message=why, code=Code.TRUST_BUNDLE))


def forgotten(cluster: ClusterId, url: str) -> Change:
    """The change that nobody asks `url` any more."""
    return Change(_key(cluster, url), UNKNOWN)


def _key(cluster: ClusterId, url: str) -> ChangeKey:
    return ChangeKey(cluster, Ref(_KIND, "", url))


class FetchedBundles:
    """Takes changes of URLs; what goes wrong at one never takes good roots away."""

    def __init__(self) -> None:
        self.known: Known = {}

    @staticmethod
    def are_meant(ref: Ref) -> bool:
        """Whether `ref` is a URL that has a bundle."""
        return ref.kind == _KIND

    def take(self, change: Change) -> bool:
        """Take up what is known of a URL now; whether it is anything new."""
        url = change.key.ref.name
        before = self.known.get(url)
        made: KnownBundle | None = None
        match change.value:
            case FetchedBundle(roots=roots):
                made = KnownBundle(roots)
            case Finding(message=why):
                made = KnownBundle(before.roots if before is not None else "", why)
        after = maps.updated(self.known, {url: maps.same(before, made) if made is not None else None})
        is_new, self.known = after is not self.known, after
        return is_new
