from __future__ import annotations

import json

import msgspec
import pytest
import yaml
from aiohttp import web

from fakes.live_cluster import live_cluster
from fakes.pki import Pki
from fakes.scripted_api import ScriptedApi, refuses, says
from isthmus.api import kind_named
from isthmus.api.resource import Kind, Object
from isthmus.kit.clock import ManualClock
from isthmus.kube.client import Client, Scope, path_of
from isthmus.kube.errors import (
    Conflict,
    Forbidden,
    KubeError,
    NotFound,
    Refused,
    Unauthorized,
    Unreachable,
)
from isthmus.kube.kubeconfig import (
    Access,
    ClientCertificate,
    Impersonation,
    Token,
    TokenFile,
    from_file,
    from_text,
)

MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", Object)


def config_map(name, **data):
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        yield served


@pytest.fixture
async def client(cluster):
    async with Client(from_file(cluster.kubeconfig)) as opened:
        yield opened


def test_paths_are_those_of_kubernetes():
    assert path_of(kind_named("Pod")) == "/api/v1/pods"
    assert path_of(kind_named("Pod"), "a", "b", "exec") == "/api/v1/namespaces/a/pods/b/exec"
    assert path_of(kind_named("Node"), "a", "b") == "/api/v1/nodes/b"
    path = "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices"
    assert path_of(kind_named("EndpointSlice"), "a") == path


async def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr("isthmus.kube.client._REQUEST_LIMIT_S", 0.1)
    api = ScriptedApi()
    api.script.append(api.holds())
    async with api.serving(), Client(api.access()) as client:
        with pytest.raises(Unreachable) as given_up:
            await client.get(MAPS, "default", "a")
    assert str(given_up.value) == f"no answer from {api.access().server}: nothing came in time"


async def test_who_is_taken_for_somebody_else_may_what_he_may(cluster):
    access = from_file(cluster.kubeconfig)
    for groups, may in ((("system:masters",), True), (("nobodies",), False)):
        taken_for = Impersonation(user="jane", groups=groups)
        async with Client(msgspec.structs.replace(access, impersonation=taken_for)) as client:
            if may:
                await client.list_all(MAPS)
                continue
            with pytest.raises(Forbidden, match="jane"):
                await client.list_all(MAPS)


async def test_objects_come_change_and_go(client):
    await client.create(MAPS, config_map("a", x="1"))
    with pytest.raises(Conflict):
        await client.create(MAPS, config_map("a"))
    await client.merge(MAPS, "default", "a", {"data": {"y": "2"}})
    assert (await client.get(MAPS, "default", "a"))["data"] == {"x": "1", "y": "2"}
    await client.delete(MAPS, "default", "a")
    with pytest.raises(NotFound):
        await client.get(MAPS, "default", "a")


async def test_apply_owns_what_it_says_and_no_more(client):
    await client.apply(MAPS, config_map("a", x="1"), "one")
    await client.apply(MAPS, config_map("a", y="2"), "other")
    assert (await client.get(MAPS, "default", "a"))["data"] == {"x": "1", "y": "2"}
    with pytest.raises(Conflict):
        await client.apply(MAPS, config_map("a", x="3"), "other", force=False)
    changed = await client.apply(MAPS, config_map("a"), "one")
    assert changed["data"] == {"y": "2"}


async def test_a_long_list_comes_in_pages(client, monkeypatch):
    monkeypatch.setattr("isthmus.kube.client._PAGE", 2)
    for number in range(5):
        await client.create(MAPS, config_map(f"m{number}"))
    listing = await client.list_all(MAPS, Scope("default"))
    names = [msgspec.json.decode(item)["metadata"]["name"] for item in listing.items]
    assert names == [f"m{number}" for number in range(5)]
    assert listing.resource_version


async def test_scopes_let_through_what_they_say(client):
    await client.create(MAPS, config_map("a"))
    await client.create(MAPS, config_map("b"))
    listing = await client.list_all(MAPS, Scope("default", fields="metadata.name=b"))
    assert len(listing.items) == 1


async def test_a_token_of_nobody_is_unauthorized(cluster):
    access = msgspec.structs.replace(from_file(cluster.kubeconfig), credentials=Token("nonsense"))
    async with Client(access) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.list_all(MAPS)


async def test_a_service_account_is_let_do_what_it_may(cluster, client):
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    answer = json.loads(await client.request("POST", f"{account}/token", body=wanted))
    config = cluster.credentials.kubeconfig(cluster.url, token=answer["status"]["token"], user="default")
    async with Client(from_text(yaml.safe_dump(config), None)) as account:
        with pytest.raises(Forbidden, match="system:serviceaccount:default:default"):
            await account.list_all(MAPS)


async def test_a_token_that_was_renewed_is_shown_after_a_refusal(tmp_path):
    (tmp_path / "token").write_text("old")
    shown = []

    async def answer(request):
        shown.append(request.headers["Authorization"])
        (tmp_path / "token").write_text("new")
        return await (says({}) if shown[-1] == "Bearer new" else refuses(401, "Unauthorized"))(request)

    api = ScriptedApi(answer)
    async with api.serving(), Client(api.access(credentials=TokenFile(tmp_path / "token"))) as client:
        assert await client.get(MAPS, "a", "b") == {}
    assert shown == ["Bearer old", "Bearer new"]


async def test_a_proof_that_is_refused_twice_is_refused(tmp_path):
    api = ScriptedApi(refuses(401, "Unauthorized", "who are you"))
    async with api.serving(), Client(api.access(credentials=Token("t"))) as client:
        with pytest.raises(Unauthorized, match="who are you"):
            await client.get(MAPS, "a", "b")
    assert len(api.asked) == 2


async def test_a_refusal_without_a_status_is_told_as_it_is():
    async def answer(_):
        return web.Response(status=502, text="<html>bad gateway")

    api = ScriptedApi(answer)
    async with api.serving(), Client(api.access()) as client:
        with pytest.raises(Refused, match="<html>bad gateway") as caught:
            await client.get(MAPS, "a", "b")
    assert caught.value.code == 502


async def test_an_answer_that_is_no_json_is_told():
    async def answer(_):
        return web.Response(text="<html>log in")

    api = ScriptedApi(answer)
    async with api.serving(), Client(api.access()) as client:
        with pytest.raises(Unreachable, match=r"none of an API server.*hint: a proxy"):
            await client.get(MAPS, "a", "b")


async def test_another_ca_is_not_trusted(cluster):
    access = msgspec.structs.replace(from_file(cluster.kubeconfig), ca=Pki().roots)
    async with Client(access) as client:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await client.list_all(MAPS)
    async with Client(msgspec.structs.replace(access, verify=False)) as client:
        await client.list_all(MAPS)


async def test_another_name_in_the_certificate_can_be_asked_for(cluster):
    access = from_file(cluster.kubeconfig)
    async with Client(msgspec.structs.replace(access, server_name="kubernetes.default.svc")) as client:
        await client.list_all(MAPS)
    async with Client(msgspec.structs.replace(access, server_name="other.example")) as client:
        with pytest.raises(Unreachable):
            await client.list_all(MAPS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ca": b"no pem"},
        {"ca": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"credentials": ClientCertificate(b"no pem", "no key")},
    ],
)
async def test_pem_that_is_none_is_told(cluster, wrong):
    access = msgspec.structs.replace(from_file(cluster.kubeconfig), **wrong)
    async with Client(access) as client:
        with pytest.raises(KubeError, match="no PEM that fits"):
            await client.list_all(MAPS)


async def test_a_client_that_is_not_open_says_so():
    with pytest.raises(KubeError, match=r"not open \(hint: async with"):
        await Client(Access(server="http://127.0.0.1:1"), clock=ManualClock()).list_all(MAPS)
