from __future__ import annotations

import base64

import msgspec
import pytest
import yaml

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.scripted_api import ScriptedApi, refuses
from isthmus.api import kind_named
from isthmus.api.resource import Ref
from isthmus.discovery.secret_claims import LABEL, read_entry
from isthmus.discovery.source_secrets import SecretsSource
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file

REF = Ref("Secret", "istio-system", "remote")
SECRETS = kind_named("Secret")


def kubeconfig(server="https://west:6443", user=None):
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user or {"token": "t"}}],
        }
    )


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_a_data_key_is_a_cluster():
    spec, finding = read_entry(REF, "west", encoded(kubeconfig()))
    assert finding is None
    assert (spec.id, spec.access.server, spec.source) == (
        "west",
        "https://west:6443",
        "secret istio-system/remote",
    )
    assert not spec.is_config


PLUGIN = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "id"}}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("West_1", encoded(kubeconfig()), "is no name for a cluster"),
        ("west", "", "is empty"),
        ("west", "é", "is no text in base64"),
        ("west", "%%%", "is no text in base64"),
        ("west", base64.b64encode(b"\xff").decode(), "is no text in base64"),
        ("west", encoded("a: ["), "kubeconfig $: is not YAML"),
        ("west", encoded(kubeconfig("west")), "kubeconfig $.clusters[c].cluster.server"),
        ("west", encoded(kubeconfig(user=PLUGIN)), "neither a file nor a program"),
        ("west", encoded(kubeconfig(user={"tokenFile": "/etc/passwd"})), "neither a file nor a program"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(key, value, words):
    spec, finding = read_entry(REF, key, value)
    assert spec is None
    assert (finding.ref, finding.path) == (REF, f"$.data[{key}]")
    assert words in finding.message


def secret(name, labelled=True, **data):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": "istio-system",
            "labels": {LABEL: "true"} if labelled else {},
        },
        "data": {key: encoded(text) for key, text in data.items()},
    }


async def test_labelled_secrets_are_followed(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
        await cluster.create("namespaces", namespace)
        await client.create(SECRETS, secret("one", west=kubeconfig(), wrong="a: ["))
        await client.create(SECRETS, secret("other", labelled=False, east=kubeconfig()))
        source = SecretsSource(from_file(cluster.kubeconfig), "istio-system")

        def servers():
            return {spec.id: spec.access.server for spec in source.claims.value.specs}

        async with supervise(source.run()):
            await source.looked.wait()
            assert servers() == {"west": "https://west:6443"}
            assert [finding.path for finding in source.claims.value.findings] == ["$.data[wrong]"]
            changed = {"data": {"west": encoded(kubeconfig("https://new:6443")), "wrong": None}}
            await client.merge(SECRETS, "istio-system", "one", changed)

            async def moved():
                return servers() == {"west": "https://new:6443"} and not source.claims.value.findings

            await eventually(moved)
            await client.delete(SECRETS, "istio-system", "one")

            async def gone():
                return not servers()

            await eventually(gone)


async def test_who_may_not_read_secrets_need_not_wait_for_them():
    api = ScriptedApi(refuses(403, "Forbidden"))
    async with api.serving():
        source = SecretsSource(api.access(), "istio-system")
        async with supervise(source.run()):
            await source.looked.wait()
    assert msgspec.structs.asdict(source.claims.value) == {"specs": (), "findings": ()}
