"""Citadel as its own service account, at a real API server: what it can do, and what nobody else can."""

from pathlib import Path

import pytest

from fakes.eventually import eventually
from isthmus.ca.in_cluster import run_citadel
from isthmus.ca.self_signed import NAME, SECRETS
from isthmus.console.installation import Installation
from isthmus.kit import x509
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import Certificates, CertSettings
from unit.ca.installed import ACCOUNT, SYSTEM, Installed, installed, settings

pytestmark = pytest.mark.usefixtures("api_server")

PILOT = "istio-pilot-service-account"


async def test_without_ca_files_a_citadel_signs_with_a_root_of_its_own(tmp_path: Path):
    async with installed(tmp_path) as place:
        mine = settings(tmp_path)
        async with supervise(run_citadel(mine, place.citadel)):
            await eventually(lambda: published(place))
            root = (await place.find("configmaps", "istio-ca-root-cert"))["data"]["root-cert.pem"]
            (tmp_path / "root.pem").write_text(root)
            (tmp_path / "token").write_text(await place.token("default", "default"))
            certificates = Certificates(
                CertSettings(
                    identity=SpiffeId("cluster.local", "default", "default"),
                    citadel=f"localhost:{mine.port}",
                    token_file=tmp_path / "token",
                    roots_file=tmp_path / "root.pem",
                )
            )
            async with supervise(certificates.run()):
                held = await certificates.first()
        assert x509.names(x509.load_certificate(held.chain)).dns == ("gke.clusters.cluster.local",)
        assert x509.names(x509.load_certificate(root.encode())).common_name == "Isthmus Root CA"


async def published(place: Installed) -> bool:
    return await place.find("configmaps", "istio-ca-root-cert") is not None


async def test_no_account_but_those_of_the_control_plane_reads_the_secret_of_the_ca(
    tmp_path: Path, api_server: str
):
    async with installed(tmp_path) as place:
        await place.make("secrets", "Secret", NAME, SYSTEM, data={})
        await place.make("secrets", "Secret", "cacerts", SYSTEM, data={})
        accounts = [
            each
            for each in await place.cluster.list("serviceaccounts")
            if each["metadata"]["namespace"]
            != "kube-system"  # some controllers of Kubernetes may read all objects
        ]
        assert len(accounts) > 3
        readers = set()
        for account in accounts:
            meta = account["metadata"]
            async with Client(await place.access(meta["namespace"], meta["name"])) as client:
                for name in (NAME, "cacerts"):
                    try:
                        await client.get(SECRETS, SYSTEM, name)
                        readers.add((meta["name"], name))
                    except Forbidden:
                        continue
        # Secret cacerts is mounted by the kubelet: Citadel's account cannot read it either.
        # Pilot follows labelled Secrets in its namespace, which Kubernetes can only allow for all of them.
        assert readers == {(ACCOUNT, NAME), *((PILOT, name) for name in (NAME, "cacerts"))}


async def test_where_the_ca_is_plugged_in_citadels_account_reads_and_makes_no_secret(
    tmp_path: Path, api_server: str
):
    async with installed(tmp_path, Installation(cluster="gke", layout="apart", ca="plugged-in")) as place:
        await place.make("secrets", "Secret", NAME, SYSTEM, data={})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new", "namespace": SYSTEM}}
        async with Client(place.citadel) as client:
            with pytest.raises(Forbidden):
                await client.get(SECRETS, SYSTEM, NAME)
            with pytest.raises(Forbidden):
                await client.create(SECRETS, secret)
