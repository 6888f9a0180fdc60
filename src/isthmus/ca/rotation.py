"""From one CA to another without a call that fails: the stages, and what each of them wants to be held by whom.

A proxy believes a peer by its roots, so all must trust a new root before anybody shows a certificate of it, and
nobody may show one of the old root any more when that is forgotten. A new CA under the same root goes the same way:
ADR 0027.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

import msgspec

from isthmus.ca.store import CA_CERT, ROOT_CERT, Material
from isthmus.kit import x509


class Stage(Enum):
    """Each is held by all before the next begins."""

    TRUST = "trust"
    """Old and new roots are trusted, the old CA signs."""
    SIGN = "sign"
    """Both are trusted, the new CA signs."""
    FORGET = "forget"
    """The new CA signs, roots that sign no more are trusted no more: the end."""
    RETURN = "return"
    """Back from `SIGN`: both are trusted, the old CA signs again."""
    WITHDRAW = "withdraw"
    """Back from `TRUST` or `RETURN`: all is as it was before."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed in one cluster. CAs are called by the SHA-256 of their certificates."""

    roots: str
    """PEM, as they were before."""
    old: str
    new: str
    """The CA that signs in the end: the old one where this cluster keeps its own."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """A rotation under way. It has no secret in it, and is kept in the cluster of the configuration."""

    stage: Stage
    roots: str
    """PEM: those that the new CAs lead to."""
    retired: tuple[str, ...]
    """The SHA-256 of roots that nobody's CA leads to any more in the end."""
    clusters: dict[str, Side]
    began: float

    def at(self, stage: Stage) -> Rotation:
        return msgspec.structs.replace(self, stage=stage)

    @property
    def is_over(self) -> bool:
        """Whether no stage follows this one."""
        return self.stage in {Stage.FORGET, Stage.WITHDRAW}

    @property
    def new_signs(self) -> bool:
        return self.stage in {Stage.SIGN, Stage.FORGET}

    def issuer(self, cluster: str) -> str:
        """The CA that signs in `cluster` at this stage."""
        side = self.clusters[cluster]
        return side.new if self.new_signs else side.old

    def bundle(self, cluster: str) -> bytes:
        """The roots (PEM) that `cluster` trusts at this stage."""
        before = x509.load_bundle(self.clusters[cluster].roots.encode())
        new = x509.load_bundle(self.roots.encode())
        match self.stage:
            case Stage.WITHDRAW:
                found = before
            case Stage.FORGET:
                kept = (each for each in before if x509.fingerprint(each) not in self.retired)
                found = (*new, *kept)
            case Stage.TRUST | Stage.RETURN:
                found = (*before, *new)
            case Stage.SIGN:
                found = (*new, *before)
        return x509.bundle_pem(dict.fromkeys(found))

    def changed(self, cluster: str, signs: Mapping[str, bytes]) -> dict[str, bytes]:
        """The CA files of `cluster` at this stage, made of those of the CA that signs at it."""
        return {**signs, ROOT_CERT: self.bundle(cluster)}

    def behind(self, cluster: str, roots: Collection[str], issuer: str, *, exactly: bool = False) -> str:
        """Why somebody in `cluster` with these roots, and a certificate of `issuer`, does not hold this stage.

        Empty: it does. `exactly`: its certificate must be of this cluster's CA, not of any that signs now.
        A cluster that has no CA of its own trusts what others do.
        """
        wanted = self._wanted(cluster)
        if not any(each <= set(roots) for each in wanted):
            return "does not trust the new root yet" if self.stage is Stage.TRUST else "lacks a root"
        unwanted = set(self.retired)
        if self.stage is Stage.WITHDRAW:
            unwanted = prints(self.roots.encode()).difference(*wanted)
        if self.is_over and unwanted & set(roots):
            return f"trusts the {'old' if self.new_signs else 'new'} root still"
        sides = [self.clusters[cluster]] if exactly else self.clusters.values()
        old, new = {side.old for side in sides}, {side.new for side in sides}
        if self.new_signs and issuer not in new:
            return "has a certificate of the old CA still"
        if not self.new_signs and (issuer not in old if exactly else issuer in new - old):
            return "has a certificate of the new CA still"
        return ""

    def _wanted(self, cluster: str) -> list[set[str]]:
        places = [cluster] if cluster in self.clusters else self.clusters
        return [prints(self.bundle(each)) for each in places]


def begin(before: Mapping[str, Material], after: Mapping[str, Material], now: float) -> Rotation:
    """The rotation of clusters from one CA to another, by name; those without a new one keep theirs."""
    in_the_end = {**before, **after}
    retired = {_root(each) for each in before.values()} - {_root(each) for each in in_the_end.values()}
    new_roots = dict.fromkeys(root for each in after.values() for root in each.roots)
    sides = {
        name: Side(
            roots=x509.bundle_pem(material.roots).decode(),
            old=x509.fingerprint(material.chain[0]),
            new=x509.fingerprint(in_the_end[name].chain[0]),
        )
        for name, material in before.items()
    }
    return Rotation(
        stage=Stage.TRUST,
        roots=x509.bundle_pem(new_roots).decode(),
        retired=tuple(sorted(retired - prints(x509.bundle_pem(new_roots)))),
        clusters=sides,
        began=now,
    )


def prints(pem: bytes) -> set[str]:
    """The SHA-256 of each certificate in `pem`. Raises `InvalidCertificate`."""
    return {x509.fingerprint(each) for each in x509.load_bundle(pem)}


def signer(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of the CA in these files. Raises `InvalidCertificate`."""
    return x509.fingerprint(x509.load_certificate(files.get(CA_CERT, b"")))


def _root(material: Material) -> str:
    return x509.fingerprint(material.chain[-1])
