from __future__ import annotations

import json

import jwt
import pytest

pytestmark = pytest.mark.kubectl


@pytest.fixture
async def account(kubectl):
    if not kubectl.is_at_least(24):
        pytest.skip("kubectl create token came with 1.24")
    await kubectl("create", "serviceaccount", "reader")
    return kubectl


async def test_a_token_is_for_its_account_audience_and_time(account):
    token = (await account("create", "token", "reader", "--audience=istio-ca", "--duration=20m")).strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == "system:serviceaccount:default:reader"
    assert claims["aud"] == ["istio-ca"]
    assert claims["exp"] - claims["iat"] == 1200
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "reader"


async def test_a_token_too_short_is_refused(account):
    ran = await account.run("create", "token", "reader", "--duration=1m")
    assert ran.code == 1
    assert "may not specify a duration less than 10 minutes" in ran.err


async def test_a_token_opens_what_its_roles_allow_and_no_more(account, cluster):
    await account(
        "create", "clusterrolebinding", "reads", "--clusterrole=view", "--serviceaccount=default:reader"
    )
    token = (await account("create", "token", "reader")).strip()
    cluster.write_kubeconfig(cluster.credentials.kubeconfig(cluster.url, token=token, user="reader"))
    await account("get", "services")
    ran = await account.run("get", "secrets")
    assert ran.code == 1
    assert 'User "system:serviceaccount:default:reader" cannot list resource "secrets"' in ran.err


async def test_a_token_ends_with_its_account(account, cluster):
    token = (await account("create", "token", "reader")).strip()
    await account("delete", "serviceaccount", "reader")
    cluster.write_kubeconfig(cluster.credentials.kubeconfig(cluster.url, token=token, user="reader"))
    ran = await account.run("get", "--raw", "/api")
    assert ran.code == 1
    assert "Unauthorized" in ran.err


async def test_a_review_tells_whose_a_token_is(account):
    token = (await account("create", "token", "reader", "--audience=istio-ca")).strip()
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["istio-ca"]},
    }
    said = json.loads(await account("create", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    assert said["status"]["authenticated"] is True
    assert said["status"]["audiences"] == ["istio-ca"]
    assert said["status"]["user"]["username"] == "system:serviceaccount:default:reader"
    review["spec"]["audiences"] = ["someone-else"]
    said = json.loads(await account("create", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    assert "authenticated" not in said["status"]
