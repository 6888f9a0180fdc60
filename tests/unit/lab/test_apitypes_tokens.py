from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fakes.objects import FakeObjects
from isthmus.kit.clock import ManualClock
from isthmus.kit.x509 import load_certificate, names
from isthmus.lab.apiserver.authentication import Authentication, certificate_user
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.rbac import Rbac
from isthmus.lab.apiserver.reviews import Reviews
from isthmus.lab.apiserver.tokens import ISSUER, Grant, Tokens
from isthmus.lab.apiserver.users import ADMIN, Unauthenticated, User

ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "pilot", "namespace": "mesh", "uid": "u1"},
}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pilot-0", "namespace": "mesh", "uid": "u2"}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u3"}}
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def objects():
    return FakeObjects(ACCOUNT, POD, NODE)


@pytest.fixture
def tokens(objects, clock):
    return Tokens(KEY, objects, clock)


def test_a_token_proves_its_account_and_what_it_is_bound_to(tokens):
    token, end = tokens.issue(Grant(ACCOUNT, bound=(("pod", POD), ("node", NODE))))
    user = tokens.verify(token).user
    assert user.name == "system:serviceaccount:mesh:pilot"
    assert user.account == ("mesh", "pilot")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:mesh", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ["pilot-0"]
    assert user.extra["authentication.kubernetes.io/node-uid"] == ["u3"]
    assert end == 1_003_600.0


def test_a_token_is_good_for_its_audience_only(tokens):
    token, _ = tokens.issue(Grant(ACCOUNT, ("istio-ca", "other")))
    assert tokens.verify(token, ("x", "istio-ca")).audiences == ("istio-ca",)
    with pytest.raises(Unauthenticated, match="audiences"):
        tokens.verify(token)


async def test_a_token_ends_with_its_time(tokens, clock):
    token, _ = tokens.issue(Grant(ACCOUNT, lifetime_s=700.0))
    await clock.advance(699)
    tokens.verify(token)
    await clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify(token)


@pytest.mark.parametrize(
    ("plural", "place"), [("serviceaccounts", ("mesh", "pilot")), ("pods", ("mesh", "pilot-0"))]
)
def test_a_token_ends_with_its_objects(tokens, objects, plural, place):
    token, _ = tokens.issue(Grant(ACCOUNT, bound=(("pod", POD),)))
    objects.remove(builtin(plural), *place)
    with pytest.raises(Unauthenticated, match="has been invalidated"):
        tokens.verify(token)


def test_a_token_is_not_for_another_object_of_the_same_name(tokens, objects):
    token, _ = tokens.issue(Grant(ACCOUNT))
    objects.put({**ACCOUNT, "metadata": {**ACCOUNT["metadata"], "uid": "new"}})
    with pytest.raises(Unauthenticated, match="has been invalidated"):
        tokens.verify(token)


def test_a_token_of_another_cluster_proves_nothing(objects, clock, tokens):
    other = Tokens(ec.generate_private_key(ec.SECP256R1()), objects, clock)
    token, _ = other.issue(Grant(ACCOUNT))
    with pytest.raises(Unauthenticated, match="invalid bearer token"):
        tokens.verify(token)


def test_anyone_can_verify_by_the_published_keys(tokens):
    token, _ = tokens.issue(Grant(ACCOUNT))
    (key,) = tokens.well_known("/openid/v1/jwks")["keys"]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(key), audience=ISSUER, issuer=ISSUER, options=options)
    assert claims["kubernetes.io"]["namespace"] == "mesh"
    assert tokens.well_known("/.well-known/openid-configuration")["issuer"] == ISSUER
    assert tokens.well_known("/else") is None


def test_a_request_is_proven_by_token_or_certificate(tokens):
    authentication = Authentication(tokens, "secret")
    certificate = {"subject": ((("organizationName", "staff"),), (("commonName", "joe"),))}
    assert authentication.user("Bearer secret", None) is ADMIN
    assert authentication.user("", certificate) == User("joe", ("staff", "system:authenticated"))
    token, _ = tokens.issue(Grant(ACCOUNT))
    assert authentication.user(f"Bearer {token}", certificate).account == ("mesh", "pilot")


@pytest.mark.parametrize("header", ["", "Bearer ", "Basic eA==", "Bearer wrong"])
def test_nobody_is_believed_without_proof(tokens, header):
    with pytest.raises(Unauthenticated):
        Authentication(tokens, "secret").user(header, None)


def test_a_certificate_without_a_name_proves_nobody():
    with pytest.raises(Unauthenticated, match="no common name"):
        certificate_user({"subject": ((("organizationName", "staff"),),)})


def test_credentials_hold_together():
    credentials = ClusterCredentials("gke", ["192.0.2.1"], 1_700_000_000.0)
    serving = names(load_certificate(credentials.serving.certificate))
    assert {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"} <= set(serving.dns)
    assert serving.addresses == ("192.0.2.1",)
    config = credentials.kubeconfig("https://192.0.2.1:6443", token="t", user="reader")
    assert config["users"] == [{"name": "reader@gke", "user": {"token": "t"}}]
    assert config["current-context"] == "gke"
    assert "key" not in repr(credentials.admin)
    authority = load_certificate(credentials.ca)
    load_certificate(credentials.client("joe").certificate).verify_directly_issued_by(authority)


@pytest.fixture
def reviews(objects, tokens):
    return Reviews(Rbac(objects), tokens, Authentication(tokens, "secret").owner)


def test_a_token_review_tells_user_and_audiences(reviews, tokens):
    token, _ = tokens.issue(Grant(ACCOUNT, ("istio-ca",)))
    status = reviews.answer("TokenReview", {"spec": {"token": token, "audiences": ["istio-ca"]}}, ADMIN)[
        "status"
    ]
    assert status["authenticated"] is True
    assert status["audiences"] == ["istio-ca"]
    assert status["user"]["username"] == "system:serviceaccount:mesh:pilot"
    status = reviews.answer("TokenReview", {"spec": {"token": token}}, ADMIN)["status"]
    assert "authenticated" not in status
    assert "istio-ca" in status["error"]


def test_a_token_review_knows_the_administrators_token(reviews):
    status = reviews.answer("TokenReview", {"spec": {"token": "secret"}}, ADMIN)["status"]
    assert status["user"]["username"] == ADMIN.name


def test_one_can_ask_who_one_is(reviews):
    user = User("joe", ("staff",))
    assert reviews.answer("SelfSubjectReview", {}, user)["status"] == {
        "userInfo": {"username": "joe", "groups": ["staff"]}
    }


def test_a_review_of_nothing_known_is_no_review(reviews):
    with pytest.raises(KeyError):
        reviews.answer("Pod", {}, ADMIN)
