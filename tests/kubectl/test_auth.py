from __future__ import annotations

import pytest

pytestmark = pytest.mark.kubectl


async def test_the_administrator_may_do_all(any_kubectl):
    assert (await any_kubectl("auth", "can-i", "delete", "nodes")).strip().endswith("yes")


async def test_others_may_do_what_bindings_say(kubectl):
    ran = await kubectl.run("auth", "can-i", "list", "pods", "--as=joe")
    assert (ran.out.strip(), ran.code) == ("no", 1)
    await kubectl("create", "role", "reads", "--verb=get,list", "--resource=pods")
    await kubectl("create", "rolebinding", "joe-reads", "--role=reads", "--user=joe")
    assert (await kubectl("auth", "can-i", "list", "pods", "--as=joe")).strip() == "yes"
    ran = await kubectl.run("auth", "can-i", "list", "pods", "--as=joe", "-n", "kube-system")
    assert ran.out.strip() == "no"
    await kubectl("get", "pods", "--as=joe")
    ran = await kubectl.run("delete", "pod", "one", "--as=joe")
    assert 'User "joe" cannot delete resource "pods"' in ran.err


async def test_nobody_acts_as_another_without_leave(kubectl, cluster):
    pair = cluster.credentials.client("joe", ("staff",))
    _show_certificate(cluster, pair)
    ran = await kubectl.run("get", "--raw", "/api/v1/namespaces/default/pods", "--as=system:admin")
    assert ran.code == 1
    assert "cannot impersonate" in ran.err


async def test_a_client_certificate_names_its_user(kubectl, cluster):
    pair = cluster.credentials.client("joe", ("staff",))
    _show_certificate(cluster, pair)
    ran = await kubectl.run("get", "pods")
    assert 'User "joe" cannot list resource "pods"' in ran.err


async def test_without_credentials_nothing_is_told(kubectl, cluster):
    content = cluster.credentials.kubeconfig(cluster.url, token="wrong")
    cluster.write_kubeconfig(content)
    ran = await kubectl.run("get", "--raw", "/version")
    assert ran.code == 1
    assert "Unauthorized" in ran.err


async def test_who_one_is_can_be_asked(kubectl):
    if not kubectl.is_at_least(28):
        pytest.skip("kubectl auth whoami settled in 1.28")
    assert "kubernetes-admin" in await kubectl("auth", "whoami")


async def test_the_generators_of_kubectl_are_understood(any_kubectl):
    create = ("create", "--dry-run=none") if any_kubectl.is_at_least(18) else ("create",)
    await any_kubectl(*create, "namespace", "shop")
    await any_kubectl(*create, "serviceaccount", "seller")
    await any_kubectl(*create, "configmap", "prices", "--from-literal=apple=1")
    await any_kubectl(*create, "secret", "generic", "till", "--from-literal=key=value")
    await any_kubectl(*create, "deployment", "stall", "--image=stall:1", "--replicas=2", "--port=80")
    await any_kubectl(*create, "service", "clusterip", "stall", "--tcp=80:8080")
    await any_kubectl(*create, "ingress", "stall", "--rule=shop.example/*=stall:80")
    await any_kubectl(*create, "job", "sweep", "--image=broom:1")
    await any_kubectl(*create, "clusterrole", "looks", "--verb=get", "--resource=pods")
    assert await any_kubectl("get", "secret", "till", "-o", "jsonpath={.data.key}") == "dmFsdWU="
    ports = "jsonpath={.spec.template.spec.containers[0].ports[0].containerPort} {.spec.replicas}"
    assert await any_kubectl("get", "deployment", "stall", "-o", ports) == "80 2"
    target = "jsonpath={.spec.ports[0].targetPort}"
    assert await any_kubectl("get", "service", "stall", "-o", target) == "8080"
    backend = "jsonpath={.spec.rules[0].http.paths[0].backend.service.port.number}"
    assert await any_kubectl("get", "ingress", "stall", "-o", backend) == "80"


def _show_certificate(cluster, pair):
    certificate, key = cluster.folder / "joe.pem", cluster.folder / "joe.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    content = cluster.credentials.kubeconfig(cluster.url)
    content["users"][0]["user"] = {"client-certificate": str(certificate), "client-key": str(key)}
    cluster.write_kubeconfig(content)
