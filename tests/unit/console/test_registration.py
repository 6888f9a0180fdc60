from __future__ import annotations

import base64
import stat

import pytest
import yaml

from fakes.live_cluster import live_cluster
from isthmus.api import kind_named
from isthmus.console.installation import Installation, documents
from isthmus.console.registration import READER, CannotRegister, Registration, add_cluster
from isthmus.discovery.source_files import read_directory
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        for obj in documents("remote", Installation(cluster="west"))[:1]:
            await served.create("namespaces", obj)
        yield served


def registration(cluster, **more):
    return Registration(name="west", pilot_endpoint="10.0.0.9:15010", kubeconfig=cluster.kubeconfig, **more)


async def with_token(cluster, token="secret"):
    data = {"token": base64.b64encode(token.encode()).decode(), "ca.crt": base64.b64encode(b"ca").decode()}
    meta = {"name": f"{READER}-token", "namespace": "istio-system"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
    async with Client(from_file(cluster.kubeconfig)) as client:
        await client.create(kind_named("Secret"), secret)


async def test_a_cluster_that_is_added_is_one_that_the_registry_reads(cluster, tmp_path):
    await with_token(cluster)
    folder = tmp_path / "clusters"
    registered = await add_cluster(
        folder, registration(cluster, server="https://west:6443", config_store=True)
    )
    assert sorted(each.name for each in folder.iterdir()) == ["west.kubeconfig", "west.yaml"]
    assert stat.S_IMODE(registered.files[0].stat().st_mode) == 0o600
    claims = read_directory(folder)
    assert not claims.findings
    (spec,) = claims.specs
    assert (spec.id, spec.access.server, spec.is_config) == ("west", "https://west:6443", True)
    assert spec.access.credentials.token == "secret"
    assert spec.access.ca == b"ca"


async def test_adding_again_replaces_the_files(cluster, tmp_path):
    await with_token(cluster)
    folder = tmp_path / "clusters"
    await add_cluster(folder, registration(cluster, server="https://old:6443"))
    (folder / "west.kubeconfig").chmod(0o644)
    new = await add_cluster(folder, registration(cluster, server="https://new:6443"))
    kubeconfig = new.files[0]
    assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == "https://new:6443"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert len(list(folder.iterdir())) == 2


async def test_a_cluster_without_the_reader_is_told_and_nothing_is_written(cluster, tmp_path):
    with pytest.raises(CannotRegister, match=r"has no Secret istio-system/.*-token \(hint: isthmus install"):
        await add_cluster(tmp_path / "clusters", registration(cluster))
    assert not (tmp_path / "clusters").exists()


async def test_a_token_that_is_not_there_yet_is_told(cluster, tmp_path):
    meta = {"name": f"{READER}-token", "namespace": "istio-system"}
    await cluster.create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    with pytest.raises(CannotRegister, match=r"holds no token yet \(hint: try again\)"):
        await add_cluster(tmp_path / "clusters", registration(cluster, server="https://west:6443"))


async def test_a_server_on_this_machine_is_looked_up_where_pods_would_find_it(cluster, tmp_path):
    await with_token(cluster)
    with pytest.raises(CannotRegister, match=r"is this machine, which Pilot cannot reach \(hint: --server"):
        await add_cluster(tmp_path / "clusters", registration(cluster))
    subset = {"addresses": [{"ip": "172.16.0.100"}], "ports": [{"name": "https", "port": 6443}]}
    own = {"metadata": {"name": "kubernetes", "namespace": "default"}, "subsets": [subset]}
    await cluster.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", **own})
    registered = await add_cluster(tmp_path / "clusters", registration(cluster))
    assert registered.server == "https://172.16.0.100:6443"
    (spec,) = read_directory(tmp_path / "clusters").specs
    assert spec.access.server == "https://172.16.0.100:6443"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../west"}, "cannot be a cluster's name"),
        ({"name": ""}, "cannot be a cluster's name"),
        ({"server": "west:6443"}, r"--server: .* is no address \(hint: https://ADDRESS:PORT\)"),
        ({"pilot_endpoint": "pilot"}, "--pilot-endpoint: 'pilot' is not ADDRESS:PORT"),
    ],
)
async def test_what_cannot_be_a_cluster_is_refused_before_it_is_asked(tmp_path, changes, said):
    asked = Registration(**{"name": "west", "pilot_endpoint": "10.0.0.9:15010"} | changes)
    with pytest.raises(CannotRegister, match=said):
        await add_cluster(tmp_path, asked)
    assert not list(tmp_path.iterdir())


async def test_a_directory_that_cannot_be_written_is_named(cluster, tmp_path):
    await with_token(cluster)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRegister, match="file: File exists"):
        await add_cluster(tmp_path / "file", registration(cluster, server="https://west:6443"))
