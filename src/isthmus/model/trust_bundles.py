"""The roots of other trust domains: by which certificates of other meshes are believed, each for its own domain only.

From ConfigMap `isthmus-trust-bundles`, which `isthmus trust` writes (a SPIFFE bundle by trust domain), and from
`caCertificates` of the mesh's settings: written there, or fetched from where they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.istio.mesh_config import CertificateData
from isthmus.api.resource import Object, Ref
from isthmus.kit import spiffe_bundle, x509
from isthmus.kit.spiffe_bundle import InvalidBundle
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.codes import Code
from isthmus.model.fetched_bundles import Known, KnownBundle
from isthmus.model.findings import Finding
from isthmus.model.identity import is_trust_domain
from isthmus.model.names import ClusterId

CONFIG_MAP = "isthmus-trust-bundles"
TYPE_URL = "type.googleapis.com/isthmus.trust.v1.Bundles"
NAME = "bundles"
"""The name of the one resource by which agents are told."""


class TrustBundle(msgspec.Struct, frozen=True):
    """The roots (PEM) that vouch for a trust domain, and for no other."""

    trust_domain: str
    roots: str


class Trusted(msgspec.Struct, frozen=True):
    """What agents are told: domains that their own roots vouch for, and the roots of others."""

    own: tuple[str, ...] = ()
    bundles: tuple[TrustBundle, ...] = ()


def written(told: Trusted) -> bytes:
    return msgspec.json.encode(told)


def decode(body: bytes) -> Trusted:
    """What was written. Raises `ValueError` where it is none."""
    try:
        told = msgspec.json.decode(body, type=Trusted)
        for each in told.bundles:
            spiffe_bundle.checked_roots(each.roots.encode())
    except UNREADABLE as error:
        raise ValueError(f"not bundles of roots: {error}") from error
    return told


def read_bundles(
    found: Object | None,
    settings: tuple[str, Iterable[CertificateData]],
    before: tuple[TrustBundle, ...],
    known: Known,
    where: tuple[Ref, ClusterId],
) -> tuple[tuple[TrustBundle, ...], tuple[Finding, ...]]:
    """All bundles by trust domain, and what is wrong with them.

    `settings`: the mesh's own trust domain and `caCertificates`. Of a bundle that cannot be read the last good one,
    among `before`, stays. `known`: what is fetched from URLs. `where` the ConfigMap with the settings is, and in
    which cluster.
    """
    reading = _Reading(settings[0], {each.trust_domain: each.roots for each in before}, where)
    for index, each in enumerate(settings[1]):
        if each.spiffe_bundle_url:
            reading.take_fetched(index, each, known.get(each.spiffe_bundle_url, KnownBundle()))
        reading.take_settings(index, each)
    if isinstance(found, ConfigMap):
        for name, text in sorted(found.data.items()):
            reading.take(name, text)
    bundles = tuple(
        TrustBundle(name, "".join(dict.fromkeys(roots)))
        for name, roots in sorted(reading.roots.items())
        if roots
    )
    return bundles, (*reading.findings, *reading.shared(bundles))


class _Reading:
    def __init__(self, own: str, before: Mapping[str, str], where: tuple[Ref, ClusterId]) -> None:
        self._own, self._before, (self._settings, self._cluster) = own, before, where
        self.roots: dict[str, list[str]] = {}
        self.findings: list[Finding] = []

    @property
    def _object(self) -> Ref:
        return self._settings._replace(name=CONFIG_MAP)

    def take_settings(self, index: int, found: CertificateData) -> None:
        """One of `caCertificates`; what does not say for whom it is, is for the mesh's own domain."""
        if not found.pem:
            return
        at = f"$.data.mesh.caCertificates[{index}]"
        try:
            roots: list[str] | None = _blocks(spiffe_bundle.checked_roots(found.pem.encode()))
        except InvalidBundle as error:
            self._say(self._settings, f"{at}.pem", f"{error}: the last good roots stay", Code.TRUST_BUNDLE)
            roots = None
        for name in found.trust_domains or (self._own,):
            kept = self._before.get(name, "") if roots is None else ""
            self.roots.setdefault(name, []).extend(_blocks(kept.encode()) if roots is None else roots)

    def take_fetched(self, index: int, found: CertificateData, known: KnownBundle) -> None:
        """One of `caCertificates` that says where its bundle is. Whoever answers there speaks for no name of ours."""
        at = f"$.data.mesh.caCertificates[{index}]"
        if not found.trust_domains:
            message = f"is missing: a URL cannot vouch for {self._own}, the mesh's own: not read (hint: [b.example])"
            self._say(self._settings, f"{at}.trustDomains", message, Code.TRUST_BUNDLE)
        if known.trouble:
            what = "the last good bundle stays" if known.roots else "nobody of the domain is believed by it"
            self._say(self._settings, f"{at}.spiffeBundleUrl", f"{known.trouble}: {what}", Code.TRUST_BUNDLE)
        for number, name in enumerate(found.trust_domains):
            path = f"{at}.trustDomains[{number}]"
            if name == self._own:
                message = (
                    f"{name} is the mesh's own trust domain, for which no URL can vouch: not read (hint: pem)"
                )
                self._say(self._settings, path, message, Code.TRUST_BUNDLE)
            elif known.roots:
                self._add(name, known.roots, (self._settings, path))

    def take(self, name: str, text: str) -> None:
        """A bundle of the ConfigMap."""
        at = f'$.data["{name}"]'
        if name == self._own:
            message = "is the mesh's own trust domain, whose roots are Citadel's: not read (hint: isthmus trust revoke)"
            self._say(self._object, at, message, Code.TRUST_BUNDLE)
            return
        if not is_trust_domain(name):
            self._say(self._object, at, "is no trust domain (hint: like b.example)", Code.TRUST_BUNDLE)
            return
        try:
            roots = spiffe_bundle.read(text).roots.decode()
        except InvalidBundle as error:
            kept = self._before.get(name, "")
            what = "the last good one stays" if kept else "nobody of the domain is believed"
            self._say(self._object, at, f"{error}: {what}", Code.TRUST_BUNDLE)
            if not kept:
                return
            roots = kept
        self._add(name, roots, (self._object, at))

    def _add(self, name: str, roots: str, where: tuple[Ref, str]) -> None:
        """Believe `name` by `roots`, where these do not say that they are another's."""
        try:
            spiffe_bundle.must_be_of(name, roots.encode())
        except InvalidBundle as error:
            self._say(*where, f"{error}: not believed by this bundle", Code.TRUST_BUNDLE)
            return
        self.roots.setdefault(name, []).extend(_blocks(roots.encode()))

    def shared(self, bundles: tuple[TrustBundle, ...]) -> Iterator[Finding]:
        """Roots that vouch for several domains: who signs by them may be anybody of either."""
        by_root: dict[str, list[str]] = {}
        for each in bundles:
            for block in _blocks(each.roots.encode()):
                by_root.setdefault(block, []).append(each.trust_domain)
        for block, domains in by_root.items():
            if len(domains) > 1:
                name = x509.names(x509.load_certificate(block.encode())).common_name
                message = f"root {name!r} vouches for {' and '.join(domains)}: who signs by it can be either"
                yield self._finding(self._object, "$.data", message, Code.TRUST_OVERLAP)

    def _say(self, ref: Ref, path: str, message: str, code: Code) -> None:
        self.findings.append(self._finding(ref, path, message, code))

    def _finding(self, ref: Ref, path: str, message: str, code: Code) -> Finding:
        return Finding(
            ref=ref, path=path, message=message, cluster=self._cluster, severity=code.severity, code=code
        )


def _blocks(pem: bytes) -> list[str]:
    return [x509.bundle_pem([each]).decode() for each in x509.load_bundle(pem)]
