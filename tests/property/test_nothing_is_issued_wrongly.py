"""Whatever is asked, shown or answered: Citadel and agents end with the errors they document, or with what is right.

`ISTHMUS_EXAMPLES=20000` makes the runs long ones.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drawn.signing import KEYS, STRONG, armoured, damage, key, requests
from fakes.asked_citadel import CLUSTER, NOW, REVIEWS, asked, citadel, must_be_reviews
from fakes.workload_api import TrustDomain
from isthmus.ca import store
from isthmus.ca.attest import Attester, NotProven
from isthmus.ca.issuers import IssuerRefused, Order
from isthmus.ca.issuers.checked import checked, modest
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.vouching import ReviewUnavailable, Voucher, Vouchers
from isthmus.kit import x509
from isthmus.kit.certified import certified_pem
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import ManualClock
from isthmus.kit.protobuf import field
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access, from_text
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import AUDIENCE, SigningAnswer, SigningRequest
from isthmus.sidecar.certs import Certificates, CertSettings
from isthmus.sidecar.citadel_call import SigningFailed
from isthmus.wire.stream import Code, Refused

# The library warns of what it will refuse one day; until then it is for us to read it or not.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

LIVES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 100_000))
OFTEN = settings(
    max_examples=int(os.environ.get("ISTHMUS_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@OFTEN
@given(requests(), LIVES)
def test_whatever_is_asked_the_certificate_says_who_was_proven_and_weak_keys_get_none(
    request: tuple[str, bytes], life_s: int
) -> None:
    kind, body = request
    answer = asked(SigningRequest(armoured(body), life_s).encode())
    if kind not in STRONG:
        assert isinstance(answer, Refused)
        assert answer.code is Code.INVALID_ARGUMENT
        return
    assert isinstance(answer, SigningAnswer)
    must_be_reviews(answer, key(kind).public_key())  # type: ignore[attr-defined]


@OFTEN
@given(damage(requests().map(lambda request: request[1])))
def test_a_damaged_request_is_refused_unless_its_own_key_has_signed_it(body: bytes) -> None:
    answer = asked(SigningRequest(armoured(body)).encode())
    if isinstance(answer, Refused):
        assert answer.code is Code.INVALID_ARGUMENT
        return
    proven = certificates.load_pem_x509_csr(armoured(body))
    assert proven.is_signature_valid
    must_be_reviews(answer, proven.public_key())  # type: ignore[arg-type]


def test_who_does_not_have_the_key_gets_no_certificate_for_it() -> None:
    mine, others = (
        certificates.CertificateSigningRequestBuilder()
        .subject_name(certificates.Name([]))
        .sign(key(kind), certificates.base.hashes.SHA256())  # type: ignore[arg-type, attr-defined]
        for kind in ("p256", "p384")
    )
    public = [
        each.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for each in (mine, others)
    ]
    # Of the same length, so that the request stays well-formed: another P-256 key in place of mine.
    other = (
        x509.new_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    body = mine.public_bytes(serialization.Encoding.DER).replace(public[0], other)
    assert body != mine.public_bytes(serialization.Encoding.DER)
    answer = asked(SigningRequest(armoured(body)).encode())
    assert isinstance(answer, Refused)
    assert "signature" in answer.text


@OFTEN
@given(
    st.one_of(st.binary(max_size=300), damage(requests().map(lambda request: field(1, armoured(request[1])))))
)
def test_whatever_bytes_come_they_are_answered_or_refused(message: bytes) -> None:
    answer = asked(message)
    assert isinstance(answer, SigningAnswer) or answer.code in {Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED}


# What others answer


class SaysAnything:
    """An API server whose TokenReviews say what was drawn."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def create(self, *_: object) -> object:
        return self.answer


NAMES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        (
            "system:serviceaccount:default:reviews",
            "system:serviceaccount:default:x/ns/istio-system/sa/y",
            "system:serviceaccount:a/ns/istio-system:b",
            "system:serviceaccount:default:",
            "system:serviceaccount::reviews",
            "system:serviceaccount:default:a:b",
            "system:serviceaccount:default:re views",
            "system:node:x",
            "default:reviews",
        )
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
STATUSES = st.fixed_dictionaries(
    {},
    optional={
        "authenticated": st.one_of(st.booleans(), JSON),
        "user": st.one_of(st.fixed_dictionaries({"username": NAMES}), JSON),
        "audiences": st.one_of(st.lists(st.sampled_from((AUDIENCE, "kubernetes", ""))), JSON),
        "error": st.one_of(st.text(max_size=5), JSON),
    },
)
TOKENS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(("Bearer x", "bearer a.b.c", "Basic x", "Bearer ", "Bearer eyJ.eyJ.x")),
)


@OFTEN
@given(TOKENS, st.one_of(st.fixed_dictionaries({"status": STATUSES}), JSON), st.text(max_size=5))
def test_whatever_token_and_review_only_a_true_service_account_is_believed(
    authorization: str, answer: object, claimed: str
) -> None:
    reviewer = ClusterReviewer(SaysAnything(answer))  # type: ignore[arg-type]
    attester = Attester(Vouchers(Voucher("gke", reviewer)), "cluster.local", ManualClock(NOW))
    try:
        caller = asyncio.run(attester.by_token(authorization, claimed))
    except (NotProven, ReviewUnavailable):
        return
    status: Any = answer["status"]  # type: ignore[index]
    assert authorization.lower().startswith("bearer ")
    assert status["authenticated"] is True
    assert AUDIENCE in status["audiences"]
    assert (
        status["user"]["username"]
        == f"system:serviceaccount:{caller.identity.namespace}:{caller.identity.service_account}"
    )
    assert SpiffeId.parse(str(caller.identity)) == caller.identity
    assert caller.cluster == "gke"


def agent() -> Certificates:
    return Certificates(CertSettings(identity=REVIEWS, roots_file=Path("/nowhere")), clock=ManualClock(NOW))


@cache
def good_answer() -> tuple[bytes, x509.PrivateKey]:
    private = x509.new_key()
    answer = asked(SigningRequest(x509.new_csr(private), 3600).encode())
    assert isinstance(answer, SigningAnswer)
    return b"".join(field(1, entry) for entry in (*answer.chain, answer.roots)), private


@OFTEN
@given(damage(st.builds(lambda: good_answer()[0])))
def test_whatever_citadel_answers_an_agent_holds_its_own_certificate_or_says_why_not(message: bytes) -> None:
    _, private = good_answer()
    roots = citadel().authority.value.roots_pem
    try:
        held = agent()._checked(SigningAnswer.decode(message), private, roots)
    except (SigningFailed, ValueError):
        return
    leaf = x509.load_certificate(held.chain)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert x509.matches(leaf, private)


@OFTEN
@given(requests(), st.data())
def test_what_is_sent_to_issuers_of_others_says_no_more_than_was_proven(
    request: tuple[str, bytes], data: st.DataObject
) -> None:
    body = data.draw(st.one_of(st.just(request[1]), damage(st.just(request[1]))))
    order = Order(armoured(body), REVIEWS, 3600, (CLUSTER,))
    try:
        modest(order)
    except x509.InvalidCsr:
        return
    csr = certificates.load_pem_x509_csr(order.csr)
    said = csr.extensions.get_extension_for_class(certificates.SubjectAlternativeName).value
    assert set(said) <= {
        certificates.UniformResourceIdentifier(str(REVIEWS)),
        certificates.DNSName(CLUSTER),
    }


@OFTEN
@given(damage(st.builds(lambda: good_answer()[0])))
def test_whatever_an_issuer_of_others_answers_is_what_was_ordered_or_refused(message: bytes) -> None:
    _, private = good_answer()
    try:
        pem = b"".join(SigningAnswer.decode(message).chain)
    except ValueError:
        return
    order = Order(b"", REVIEWS, 3600, (CLUSTER,))
    roots = citadel().authority.value.roots
    try:
        issued = checked(pem, order, private.public_key(), roots, (NOW, NOW + 3600))
    except IssuerRefused:
        return
    assert x509.names(x509.load_certificate(issued.pem)).uris == (str(REVIEWS),)


# Files


@cache
def ca_files() -> dict[str, bytes]:
    return store.read_paths(citadel().settings.ca_files)


@OFTEN
@given(st.sampled_from(store.FILES), st.data())
def test_whatever_is_in_the_ca_files_they_are_taken_or_named(name: str, data: st.DataObject) -> None:
    files = dict(ca_files())
    content = st.one_of(
        damage(st.just(files[name])), st.binary(max_size=60), st.sampled_from([*files.values(), b""])
    )
    files[name] = data.draw(content)
    try:
        material = store.verify(files, NOW)
    except store.InvalidStore as error:
        assert error.file in store.FILES
        assert "PRIVATE KEY-----\n" not in str(error)
        return
    assert x509.matches(material.chain[0], material.key)
    verify_chain(material.chain[0], material.chain[1:], material.roots, NOW)


@OFTEN
@given(damage(st.sampled_from([TrustDomain("a.example").svid("spiffe://a.example/ns/a/sa/b")])))
def test_whatever_certificate_is_shown_it_is_read_or_named_as_wrong(body: bytes) -> None:
    try:
        certified_pem(armoured(body, "CERTIFICATE"))
    except x509.InvalidPem:
        return


@cache
def ca_der() -> bytes:
    return citadel().authority.value.chain[0].public_bytes(serialization.Encoding.DER)


@OFTEN
@given(damage(st.builds(ca_der)))
def test_whatever_certificate_is_damaged_it_is_read_or_named_as_wrong(body: bytes) -> None:
    try:
        (found,) = x509.load_bundle(armoured(body, "CERTIFICATE"))
        certified_pem(armoured(body, "CERTIFICATE"))
        verify_chain(found, (), citadel().authority.value.roots, NOW)
        x509.matches(found, x509.new_key())
    except x509.InvalidPem:
        return


KUBECONFIG = b"""apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: QUJD}}]
users: [{name: a, user: {token: t, client-certificate-data: QUJD, client-key-data: QUJD}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""


@OFTEN
@given(st.one_of(damage(st.just(KUBECONFIG)), st.binary(max_size=80)))
def test_whatever_kubeconfig_is_given_it_is_read_or_said_where_it_is_wrong(body: bytes) -> None:
    try:
        access = from_text(body.decode("utf-8", "replace"), None)
    except KubeError as error:
        assert str(error)
        return
    assert isinstance(access, Access)


def test_all_kinds_of_keys_are_drawn() -> None:
    assert {kind for kind in KEYS if key(kind)} == set(KEYS)
