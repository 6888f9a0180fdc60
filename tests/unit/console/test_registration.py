from __future__ import annotations

import stat
import time

import msgspec
import pytest
import yaml

from fakes.live_cluster import live_cluster
from isthmus.console.installation import Installation, documents
from isthmus.console.reader_account import READER
from isthmus.console.registration import CannotRegister, Registration, add_cluster
from isthmus.discovery.source_files import read_directory
from isthmus.kube.account_token import read_token
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        for obj in documents("remote", Installation(cluster="west"))[:1]:
            await served.create("namespaces", obj)
        yield served


def registration(cluster, **more):
    return Registration(name="west", pilot_endpoint="10.0.0.9:15010", kubeconfig=cluster.kubeconfig, **more)


async def with_reader(cluster):
    meta = {"name": READER, "namespace": "istio-system"}
    await cluster.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})


async def test_a_cluster_that_is_added_is_one_that_the_registry_reads(cluster, tmp_path):
    await with_reader(cluster)
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
    said = read_token(str.__str__(spec.access.credentials.token))
    assert said.subject == f"system:serviceaccount:istio-system:{READER}"
    assert said.life_s == 86_400
    assert b"BEGIN CERTIFICATE" in spec.access.ca
    access = msgspec.structs.replace(spec.access, server=cluster.url)
    async with Client(access) as client:
        with pytest.raises(Forbidden, match="istio-reader-service-account"):
            await client.request("GET", "/api/v1/namespaces")


@pytest.mark.parametrize("api_server", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
async def test_a_token_without_end_is_given_where_it_is_asked_for(cluster, tmp_path):
    await with_reader(cluster)
    asked = registration(cluster, server="https://west:6443", life_s=None)
    await add_cluster(tmp_path / "clusters", asked)
    (spec,) = read_directory(tmp_path / "clusters").specs
    said = read_token(str.__str__(spec.access.credentials.token))
    assert said.account == READER
    assert said.end is None or said.end > time.time() + 86_400
    assert said.bond.name.startswith("istio-reader-access-")


async def test_adding_again_replaces_the_files(cluster, tmp_path):
    await with_reader(cluster)
    folder = tmp_path / "clusters"
    await add_cluster(folder, registration(cluster, server="https://old:6443"))
    (folder / "west.kubeconfig").chmod(0o644)
    new = await add_cluster(folder, registration(cluster, server="https://new:6443"))
    kubeconfig = new.files[0]
    assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == "https://new:6443"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert len(list(folder.iterdir())) == 2


async def test_a_cluster_without_the_reader_is_told_and_nothing_is_written(cluster, tmp_path):
    with pytest.raises(CannotRegister, match=r"has no account istio-system/.* \(hint: isthmus install"):
        await add_cluster(tmp_path / "clusters", registration(cluster, server="https://west:6443"))
    assert not (tmp_path / "clusters").exists()


async def test_a_server_on_this_machine_is_looked_up_where_pods_would_find_it(cluster, tmp_path):
    await with_reader(cluster)
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
        ({"server": "https://west:64430000"}, "--server: .* is no address"),
        ({"pilot_endpoint": "pilot"}, "--pilot-endpoint: 'pilot' is not ADDRESS:PORT"),
    ],
)
async def test_what_cannot_be_a_cluster_is_refused_before_it_is_asked(tmp_path, changes, said):
    asked = Registration(**{"name": "west", "pilot_endpoint": "10.0.0.9:15010"} | changes)
    with pytest.raises(CannotRegister, match=said):
        await add_cluster(tmp_path, asked)
    assert not list(tmp_path.iterdir())


async def test_a_directory_that_cannot_be_written_is_named(cluster, tmp_path):
    await with_reader(cluster)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRegister, match="file: File exists"):
        await add_cluster(tmp_path / "file", registration(cluster, server="https://west:6443"))
