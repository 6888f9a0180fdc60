"""CertificateSigningRequests by kubectl's hand: who asks, who decides, what stays as it is."""

from __future__ import annotations

import base64
import json
import time

import pytest

from isthmus.kit import x509
from isthmus.lab.apiserver.builtin import builtin

pytestmark = pytest.mark.kubectl

REQUESTS = builtin("certificatesigningrequests", "certificates.k8s.io")
SIGNER = "example.com/mesh"


def asked(name="one", **spec):
    csr = x509.new_csr(x509.new_key(), x509.Names(uris=("spiffe://cluster.local/ns/a/sa/b",)))
    usual = {
        "request": base64.b64encode(csr).decode(),
        "signerName": SIGNER,
        "usages": ["digital signature", "client auth"],
        "expirationSeconds": 3600,
    }
    return json.dumps(
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": usual | spec,
        }
    )


def signed():
    key = x509.new_key()
    pem = x509.bundle_pem([x509.root(key, "Theirs", x509.Life.at(time.time(), 3600))])
    return base64.b64encode(pem).decode()


async def found(kubectl, name="one"):
    return json.loads(await kubectl("get", "csr", name, "-o", "json"))


async def test_a_request_says_who_asked_whatever_it_says_itself(kubectl):
    await kubectl("create", "-f", "-", stdin=asked(username="somebody", groups=["system:masters", "x"]))
    spec = (await found(kubectl))["spec"]
    assert spec["username"] == "kubernetes-admin"
    assert "x" not in spec["groups"]
    (line,) = (await kubectl("get", "csr", "--no-headers")).splitlines()
    assert line.split()[2:] == [SIGNER, "kubernetes-admin", "60m", "Pending"]


async def test_who_approves_must_be_allowed_to_for_that_signer(kubectl):
    await kubectl("create", "-f", "-", stdin=asked())
    rules = "--verb=get,list,update,patch", "--resource=certificatesigningrequests"
    await kubectl("create", "clusterrole", "writes", *rules)
    await kubectl("create", "clusterrole", "decides", "--verb=get,update,patch", f"{rules[1]}/approval")
    for role in ("writes", "decides"):
        await kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", "--user=joe")
    ran = await kubectl.run("certificate", "approve", "one", "--as=joe")
    assert f'not permitted to approve requests with signerName "{SIGNER}"' in ran.err
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "approves"},
        "rules": [
            {
                "apiGroups": ["certificates.k8s.io"],
                "resources": ["signers"],
                "resourceNames": ["example.com/*"],
                "verbs": ["approve"],
            }
        ],
    }
    await kubectl("create", "-f", "-", stdin=json.dumps(role))
    await kubectl("create", "clusterrolebinding", "approves", "--clusterrole=approves", "--user=joe")
    await kubectl("certificate", "approve", "one", "--as=joe")
    assert [each["type"] for each in (await found(kubectl))["status"]["conditions"]] == ["Approved"]
    ran = await kubectl.run("certificate", "deny", "one")
    assert ran.code == 1, "what is approved cannot be denied any more"


async def test_who_signs_must_be_allowed_to_and_signs_once(kubectl, cluster):
    await kubectl("create", "-f", "-", stdin=asked())
    await kubectl("certificate", "approve", "one")
    given = json.dumps({"status": {"certificate": signed()}})
    patch = "patch", "csr", "one", "--subresource=status", "--type=merge"
    rules = (
        "--verb=get,patch,update",
        "--resource=certificatesigningrequests/status,certificatesigningrequests",
    )
    await kubectl("create", "clusterrole", "writes", *rules)
    await kubectl("create", "clusterrolebinding", "writes", "--clusterrole=writes", "--user=joe")
    ran = await kubectl.run(*patch, f"-p={given}", "--as=joe")
    assert "not permitted to sign" in ran.err
    await kubectl(*patch, f"-p={given}")
    assert "Approved,Issued" in await kubectl("get", "csr", "one")
    assert [each["type"] for each in (await found(kubectl))["status"]["conditions"]] == ["Approved"]
    ran = await kubectl.run(*patch, f"-p={json.dumps({'status': {'certificate': signed()}})}")
    assert "updates may not modify existing certificate content" in ran.err


async def test_a_request_is_what_it_was(kubectl):
    await kubectl("create", "-f", "-", stdin=asked())
    before = (await found(kubectl))["spec"]
    await kubectl("patch", "csr", "one", "--type=merge", '-p={"spec": {"signerName": "example.com/other"}}')
    await kubectl(
        "patch",
        "csr",
        "one",
        "--type=merge",
        '-p={"status": {"conditions": [{"type": "Approved", "status": "True"}]}}',
    )
    after = await found(kubectl)
    assert after["spec"] == before
    assert "conditions" not in after.get("status", {})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"request": "bm9uZQ=="}, "spec.request"),
        ({"signerName": "mesh"}, "fully qualified domain and path"),
        ({"signerName": ""}, "spec.signerName"),
        ({"usages": []}, "spec.usages"),
        ({"usages": ["world domination"]}, "spec.usages[0]"),
        ({"expirationSeconds": 599}, "less than 600 seconds"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_name(kubectl, spec, words):
    ran = await kubectl.run("create", "-f", "-", stdin=asked(**spec))
    assert ran.code == 1
    assert words in ran.err
