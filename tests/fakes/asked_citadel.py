"""A Citadel that is asked by a caller who is proven to be reviews, and what it may answer: that and nothing else."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509 as certificates

from fakes.citadel import LoopbackCitadel
from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import ManualClock
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import SigningAnswer
from isthmus.wire.stream import Call, Peer, Refused

NOW = 1_800_000_000.0
REVIEWS = SpiffeId("cluster.local", "default", "reviews")
CLUSTER = "gke.clusters.cluster.local"
CALL = Call(Peer("ipv4:10.0.0.1:1"), {"authorization": "Bearer token-of-reviews", "clusterid": "gke"})


@cache
def citadel() -> LoopbackCitadel:
    place = Path(tempfile.mkdtemp(prefix="isthmus-"))
    found = LoopbackCitadel(place, ManualClock(NOW))
    found.reviewer.accounts["token-of-reviews"] = "default:reviews"
    return found


def asked(message: bytes) -> SigningAnswer | Refused:
    """What Citadel's service answers to a caller that is proven to be reviews."""
    near = citadel()
    (create,) = near.citadel.services.values()
    near.citadel._service._by_identity._buckets.clear()
    near.citadel._service._by_address._buckets.clear()
    near.citadel._service._by_cluster._buckets.clear()
    try:
        return SigningAnswer.decode(asyncio.run(create.answer(message, CALL)))
    except Refused as refused:
        return refused


def must_be_reviews(answer: SigningAnswer, wanted: x509.PublicKey) -> None:
    """The certificate says exactly who was proven, for that key, for a bounded time, and nothing else."""
    authority = citadel().authority.value
    leaf, *between = x509.load_bundle(b"".join(answer.chain))
    assert x509.load_bundle(answer.roots) == authority.roots
    verify_chain(leaf, between, authority.roots, NOW)
    assert leaf.public_key() == wanted
    assert list(leaf.subject) == []
    kinds = {type(each.value): each.value for each in leaf.extensions}
    assert set(kinds) == {
        certificates.SubjectKeyIdentifier,
        certificates.AuthorityKeyIdentifier,
        certificates.BasicConstraints,
        certificates.KeyUsage,
        certificates.ExtendedKeyUsage,
        certificates.SubjectAlternativeName,
    }
    assert list(kinds[certificates.SubjectAlternativeName]) == [
        certificates.UniformResourceIdentifier(str(REVIEWS)),
        certificates.DNSName(CLUSTER),
    ]
    assert kinds[certificates.BasicConstraints] == certificates.BasicConstraints(ca=False, path_length=None)
    usage = kinds[certificates.KeyUsage]
    assert not usage.key_cert_sign
    assert not usage.crl_sign
    assert set(kinds[certificates.ExtendedKeyUsage]) == {
        certificates.ExtendedKeyUsageOID.SERVER_AUTH,
        certificates.ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    begin, end = x509.life(leaf)
    assert NOW - x509.BACKDATE_S <= begin <= NOW < end <= NOW + 90 * 86_400
    assert end <= authority.end
