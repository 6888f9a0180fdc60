"""What is fuzzed: a function of bytes each, which raises where something crashed that must not, or was wrongly given.

An error that is documented is an answer; any other exception, and any certificate that says more than was proven, is a
fault. Each target has seeds, from which the fuzzer goes on.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import jsonpatch
import msgspec
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import serialization

from drawn.signing import armoured
from fakes.asked_citadel import CLUSTER, NOW, REVIEWS, asked, citadel, must_be_reviews
from fakes.issuers import Key, jwks
from fakes.workload_api import TrustDomain, answer
from fuzz.framing import frame_seeds, frames_mean_the_same_in_whatever_pieces_they_come
from isthmus.admission.door import Door
from isthmus.admission.injection import Injection
from isthmus.admission.review import read_review
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents
from isthmus.ca import claims, denied, store
from isthmus.ca.attest import Attester, NotProven
from isthmus.ca.issuers import IssuerRefused, Order
from isthmus.ca.issuers.checked import checked, modest
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.vouching import ReviewUnavailable, Voucher, Vouchers
from isthmus.kit import jwks as key_sets
from isthmus.kit import spiffe_bundle, x509
from isthmus.kit.certified import certified_pem
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.plain_http import Request
from isthmus.kit.protobuf import field
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access, from_text
from isthmus.model.identity import SpiffeId
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.model.signing import AUDIENCE, SigningAnswer, SigningRequest
from isthmus.sidecar.citadel_call import SigningFailed
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.workload_api import SvidAnswer
from isthmus.sidecar.workload_api import checked as checked_svid
from isthmus.wire.stream import Code, Refused


class Target(NamedTuple):
    """A function that is given any bytes, and bytes to begin with."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


DER = serialization.Encoding.DER


def request_is_answered_with_who_was_proven(der: bytes) -> None:
    """A signing request in DER."""
    _answered(SigningRequest(armoured(der), 3600).encode(), armoured(der))


def message_is_answered_with_who_was_proven(message: bytes) -> None:
    """A message to Citadel."""
    try:
        csr = SigningRequest.decode(message).csr
    except ValueError:
        csr = b""
    _answered(message, csr)


def _answered(message: bytes, csr: bytes) -> None:
    said = asked(message)
    if isinstance(said, Refused):
        assert said.code in {Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED}, said.text
        return
    found = certificates.load_pem_x509_csr(csr)
    assert found.is_signature_valid
    must_be_reviews(said, found.public_key())  # type: ignore[arg-type]


def order_says_no_more_than_was_proven(der: bytes) -> None:
    """A signing request in DER that is to be sent on to an issuer of others."""
    try:
        modest(Order(armoured(der), REVIEWS, 3600, (CLUSTER,)))
    except x509.InvalidCsr:
        return
    csr = certificates.load_pem_x509_csr(armoured(der))
    said = csr.extensions.get_extension_for_class(certificates.SubjectAlternativeName).value
    allowed = {certificates.UniformResourceIdentifier(str(REVIEWS)), certificates.DNSName(CLUSTER)}
    assert set(said) <= allowed
    assert not any(
        isinstance(each.value, certificates.BasicConstraints) and each.value.ca for each in csr.extensions
    )


def issued_by_others_is_what_was_ordered(body: bytes) -> None:
    """A chain in DER, certificate after certificate with a byte of length before each, of an issuer of others."""
    pem = b"".join(armoured(each, "CERTIFICATE") for each in _parts(body))
    order = Order(b"", REVIEWS, 3600, (CLUSTER,))
    try:
        issued = checked(
            pem, order, _leaf()[1].public_key(), citadel().authority.value.roots, (NOW, NOW + 3600)
        )
    except IssuerRefused:
        return
    leaf = x509.load_certificate(issued.pem)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert set(x509.names(leaf).dns) <= {CLUSTER}
    assert x509.matches(leaf, _leaf()[1])
    assert not x509.is_authority(leaf)
    assert issued.end <= NOW + 3600 + 300


def svid_is_our_own(body: bytes) -> None:
    """An answer of a Workload API."""
    now = SystemClock().now()
    try:
        held = checked_svid(SvidAnswer.decode(body), REVIEWS, now)
    except (SigningFailed, ValueError):
        return
    leaf = x509.load_certificate(held.chain)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert x509.matches(leaf, x509.load_key(held.key))
    assert not x509.is_authority(leaf)
    assert held.end > now
    assert REVIEWS.trust_domain not in dict(held.federated)


class _Says:
    """An API server whose TokenReviews say what the fuzzer wrote."""

    def __init__(self, said: object) -> None:
        self._said = said

    async def create(self, *_: object) -> object:
        return self._said


def token_is_believed_by_its_review_alone(body: bytes) -> None:
    """A bearer token, a line feed, and what the API server says of it, as JSON."""
    token, _, review = body.partition(b"\n")
    text = token.decode("utf-8", "replace")
    claims.read(text)
    try:
        said: Any = json.loads(review)
    except (ValueError, RecursionError):
        return
    attester = Attester(
        Vouchers(Voucher("gke", ClusterReviewer(_Says(said)))),  # type: ignore[arg-type]
        "cluster.local",
        ManualClock(NOW),
    )
    try:
        caller = asyncio.run(attester.by_token(f"Bearer {text}"))
    except (NotProven, ReviewUnavailable):
        return
    status = said["status"]
    assert status["authenticated"] is True
    assert AUDIENCE in status["audiences"]
    account = f"system:serviceaccount:{caller.identity.namespace}:{caller.identity.service_account}"
    assert status["user"]["username"] == account
    assert SpiffeId.parse(str(caller.identity)) == caller.identity


def kubeconfig_is_read_or_said_where_it_is_wrong(body: bytes) -> None:
    """A kubeconfig."""
    try:
        assert isinstance(from_text(body.decode("utf-8", "replace"), None), Access)
    except KubeError as error:
        assert str(error)


def certificates_are_read_or_named_as_wrong(body: bytes) -> None:
    """Certificates in DER, as in `issued_by_others_is_what_was_ordered`."""
    pem = b"".join(armoured(each, "CERTIFICATE") for each in _parts(body))
    with suppress(x509.InvalidPem):
        certified_pem(pem)
    with suppress(x509.InvalidPem):
        leaf, *between = x509.load_bundle(pem) or (_leaf()[0],)
        x509.names(leaf)
        verify_chain(leaf, between, citadel().authority.value.roots, NOW)
    with suppress(spiffe_bundle.InvalidBundle):
        spiffe_bundle.checked_roots(pem)


def bundle_has_roots_or_is_named_as_wrong(body: bytes) -> None:
    """A SPIFFE bundle, as JSON."""
    try:
        found = spiffe_bundle.read(body)
    except spiffe_bundle.InvalidBundle as error:
        assert str(error)
        return
    roots = x509.load_bundle(found.roots)
    assert roots
    assert all(x509.is_authority(each) for each in roots)
    assert spiffe_bundle.read(spiffe_bundle.written(roots)).roots == found.roots


def keys_are_read_without_their_secrets(body: bytes) -> None:
    """A JWKS."""
    try:
        found = key_sets.read_jwks(body)
    except key_sets.InvalidJwks:
        return
    secret = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert not any(secret & set(each) for each in json.loads(found.text)["keys"])
    assert key_sets.read_jwks(found.text).text == found.text


def ca_files_are_taken_or_named(body: bytes) -> None:
    """Which of the CA files, and what is in it."""
    files = store.read_paths(citadel().settings.ca_files)
    name = store.FILES[(body[0] if body else 0) % len(store.FILES)]
    try:
        material = store.verify(files | {name: body[1:]}, NOW)
    except store.InvalidStore as error:
        assert error.file in store.FILES
        assert "PRIVATE KEY-----\n" not in str(error)
        return
    assert x509.matches(material.chain[0], material.key)
    verify_chain(material.chain[0], material.chain[1:], material.roots, NOW)


def what_is_written_for_citadel_is_read_or_named_as_wrong(body: bytes) -> None:
    """The list of who is denied, and the mesh's settings."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError):
        denied.read(text)
    with suppress(InvalidConfig):
        checked_mesh_config(text)


def status_of_an_order_is_read_or_named_as_wrong(body: bytes) -> None:
    """A CertificateSigningRequest or CertificateRequest, as an API server may tell it."""
    from isthmus.ca.issuers import cert_manager, kubernetes

    for kind, verdict in (
        (kubernetes._REQUESTS, kubernetes._verdict),
        (cert_manager._REQUESTS, cert_manager._verdict),
    ):
        try:
            found: Any = decode(kind, body)
        except InvalidConfig:
            continue
        assert not (verdict(found).answered and verdict(found).refused)
        assert not verdict(found).answered or found.status.certificate


class _East:
    """What an injector knows of its cluster."""

    now = InjectSettings(cluster="east", network="east-net")

    def labels(self, _: str) -> dict[str, str]:
        return {}


def review_is_answered_whatever_it_asks(body: bytes) -> None:
    """Which webhook, and the AdmissionReview that it is asked."""
    path = "/validate" if body[:1] == b"v" else "/inject/cluster/west"
    request = Request("POST", path, {"content-type": "application/json"}, body[1:])
    answer = asyncio.run(Door(Injection(_East())).answer(request))
    assert answer.status in {200, 400}, answer.body
    if answer.status == 400:
        assert answer.body
        return
    said, asked = json.loads(answer.body)["response"], read_review(body[1:])
    assert said["uid"] == asked.uid
    assert said["allowed"] or said["status"]["message"]
    if "patch" in said:
        made = jsonpatch.apply_patch(asked.object, json.loads(base64.b64decode(said["patch"])))
        spec = made["spec"]
        names = [
            each.get("name") for part in ("initContainers", "containers") for each in spec.get(part) or ()
        ]
        assert names.count("istio-proxy") == 1


def _parts(body: bytes) -> list[bytes]:
    """What is between two-byte lengths."""
    found = []
    while len(body) > 2 and len(found) < 5:
        length = int.from_bytes(body[:2])
        found.append(body[2 : 2 + length])
        body = body[2 + length :]
    return found


def _whole(*parts: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2) + each for each in parts)


@cache
def _leaf() -> tuple[x509.Certificate, x509.PrivateKey]:
    """A certificate of reviews, and its key."""
    private = x509.new_key()
    said = asked(SigningRequest(x509.new_csr(private), 3600).encode())
    assert isinstance(said, SigningAnswer)
    return x509.load_certificate(b"".join(said.chain)), private


def _requests() -> Iterator[bytes]:
    yield from (certificates.load_pem_x509_csr(each).public_bytes(DER) for each in _pems())


def _pems() -> Iterator[bytes]:
    names = x509.Names(uris=(str(REVIEWS),), dns=(CLUSTER,))
    yield x509.new_csr(x509.new_key(), names)
    yield x509.new_csr(x509.new_key(KeyKind.RSA_2048))
    yield x509.new_csr(x509.new_key(), x509.Names(common_name="admin", addresses=("10.0.0.1",)))


def _messages() -> Iterator[bytes]:
    for each in _pems():
        yield SigningRequest(each, 3600).encode()
        yield (
            field(1, each)
            + field(3, 60)
            + field(4, field(1, field(1, b"ImpersonatedIdentity") + field(2, b"x")))
        )


def _chains() -> Iterator[bytes]:
    authority = citadel().authority.value
    leaf = _leaf()[0].public_bytes(DER)
    yield _whole(leaf, *(each.public_bytes(DER) for each in authority.chain))
    yield _whole(leaf)
    yield _whole(*(each.public_bytes(DER) for each in authority.roots))


def _answers() -> Iterator[bytes]:
    ours, others = TrustDomain("cluster.local"), TrustDomain("partner.example")
    yield answer(ours.svid(str(REVIEWS)), federated={"spiffe://partner.example": others.bundle})
    yield answer(others.svid("spiffe://partner.example/ns/a/sa/b"), ours.svid(str(REVIEWS)))


def _tokens() -> Iterator[bytes]:
    status = {
        "authenticated": True,
        "user": {"username": "system:serviceaccount:default:reviews", "extra": {"a": ["b"]}},
        "audiences": [AUDIENCE],
    }
    token = Key().sign(aud=[AUDIENCE]).encode()
    yield token + b"\n" + json.dumps({"status": status}).encode()
    yield token + b"\n" + json.dumps({"status": {"authenticated": False, "error": "expired"}}).encode()
    yield b"x\n" + json.dumps({"status": status | {"user": {"username": "system:node:a"}}}).encode()


KUBECONFIG = b"""apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: QUJD}}]
users: [{name: a, user: {token: t, client-certificate-data: QUJD, client-key-data: QUJD}},
  {name: b, user: {exec: {command: gke, args: [token], apiVersion: client.authentication.k8s.io/v1}}}]
contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: a, user: b}}]
current-context: a
"""


def _bundles() -> Iterator[bytes]:
    yield spiffe_bundle.written([TrustDomain("a.example").root, TrustDomain("b.example").root]).encode()
    yield b'{"keys": [{"use": "jwt-svid", "kid": "a"}, {"use": "x509-svid", "x5c": ["QUJD"]}]}'


def _key_sets() -> Iterator[bytes]:
    yield jwks(*(Key(each, each) for each in ("ES256", "ES384", "RS256", "EdDSA"))).encode()
    yield json.dumps({"keys": [Key("RS256").secret, {"kty": "oct", "k": "QUJD"}]}).encode()


def _ca_files() -> Iterator[bytes]:
    for number, name in enumerate(store.FILES):
        yield bytes([number]) + store.read_paths(citadel().settings.ca_files)[name]


def _written() -> Iterator[bytes]:
    yield denied.written([denied.Denial(identity=str(REVIEWS), since=NOW, reason="lost")]).encode()
    root = x509.bundle_pem(citadel().authority.value.roots).decode()
    yield msgspec.json.encode(
        {"caCertificates": [{"pem": root, "certSigners": ["a.b/c"], "trustDomains": ["x"]}]}
    )
    yield b"trustDomain: a.example\ndefaultConfig: {concurrency: 2}\n"


def _orders() -> Iterator[bytes]:
    pem = base64.b64encode(b"pem").decode()
    said = [{"type": "Approved", "status": "True"}, {"type": "Ready", "status": "True", "reason": "Issued"}]
    meta = {"name": "a", "namespace": "b", "creationTimestamp": "2026-01-01T00:00:00Z"}
    for more in ({"certificate": pem, "ca": pem}, {}):
        yield json.dumps({"metadata": meta, "status": {"conditions": said} | more}).encode()


def _reviews() -> Iterator[bytes]:
    pod = {
        "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"proxy.istio.io/config": "{}"}},
        "spec": {"containers": [{"name": "web", "image": "w", "ports": [{"containerPort": 80}]}]},
    }
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}], "timeout": "1s"}]},
    }
    for first, obj, operation in ((b"i", pod, "CREATE"), (b"v", rule, "CREATE"), (b"v", rule, "UPDATE")):
        request = {"uid": "u", "operation": operation, "namespace": "b", "object": obj, "oldObject": obj}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        yield first + json.dumps(review).encode()


def manifest_is_injected_and_led_back_or_named_as_wrong(body: bytes) -> None:
    """A stream of manifests."""
    text = body.decode(errors="replace")
    try:
        out = inject_manifest(text, InjectSettings(cluster="gke")).text
    except InvalidManifest as error:
        assert "document " in str(error)
        return
    assert inject_manifest(out, InjectSettings(cluster="gke")).text == out
    if "sidecar.istio.io/status" not in text:
        bare = [each.value for each in documents(uninject_manifest(out).text)]
        assert bare == [each.value for each in documents(text)]


def _manifests() -> Iterator[bytes]:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    yield f"{pod}spec:\n  containers:\n  - name: app\n    livenessProbe: {{tcpSocket: {{port: 80}}}}\n".encode()
    yield f"{pod}spec: {{containers: [{{name: istio-proxy, image: auto}}]}}\n---\n# end\n".encode()
    yield f"{pod}spec: &s\n  containers: &c [{{name: app}}]\n  initContainers: *c\n".encode()
    yield f"{pod}spec: {{<<: {{containers: [{{name: app}}]}}}}\n".encode()


TARGETS = {
    "requests": Target(request_is_answered_with_who_was_proven, _requests),
    "messages": Target(message_is_answered_with_who_was_proven, _messages),
    "orders": Target(order_says_no_more_than_was_proven, _requests),
    "issued": Target(issued_by_others_is_what_was_ordered, _chains),
    "svids": Target(svid_is_our_own, _answers),
    "tokens": Target(token_is_believed_by_its_review_alone, _tokens),
    "kubeconfigs": Target(kubeconfig_is_read_or_said_where_it_is_wrong, lambda: iter([KUBECONFIG])),
    "certificates": Target(certificates_are_read_or_named_as_wrong, _chains),
    "bundles": Target(bundle_has_roots_or_is_named_as_wrong, _bundles),
    "keys": Target(keys_are_read_without_their_secrets, _key_sets),
    "files": Target(ca_files_are_taken_or_named, _ca_files),
    "written": Target(what_is_written_for_citadel_is_read_or_named_as_wrong, _written),
    "reviews": Target(review_is_answered_whatever_it_asks, _reviews),
    "manifests": Target(manifest_is_injected_and_led_back_or_named_as_wrong, _manifests),
    "frames": Target(frames_mean_the_same_in_whatever_pieces_they_come, frame_seeds),
    "statuses": Target(status_of_an_order_is_read_or_named_as_wrong, _orders),
}


def any_of_them(body: bytes) -> None:
    """The number of a target, and what it is given."""
    list(TARGETS.values())[(body[0] if body else 0) % len(TARGETS)].run(body[1:])


def all_seeds() -> Iterator[bytes]:
    """The seeds of each target, by its number."""
    for number, each in enumerate(TARGETS.values()):
        yield from (bytes([number]) + seed for seed in each.seeds())


ALL = Target(any_of_them, all_seeds)
"""All in turn, for a short run."""
