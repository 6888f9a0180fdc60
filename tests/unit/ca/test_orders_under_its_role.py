"""A Citadel that orders of a signer, as its own service account: what the guide allows it is enough, and needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fakes.eventually import eventually
from fakes.kubernetes_signer import SIGNER, Signer, pem_of, tell_roots
from isthmus.ca.borrowed import run_borrowed
from isthmus.ca.issuers.choice import parse_issuer
from isthmus.kit import x509
from isthmus.kit.plain_http import fetch
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import Certificates, CertSettings
from unit.ca.installed import SYSTEM, installed, settings

pytestmark = pytest.mark.usefixtures("api_server")

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "other-authorities.md"
CHOICE = msgspec.structs.replace(parse_issuer(f"kubernetes:{SIGNER}"), cluster="gke", namespace=SYSTEM)


def allowed() -> list[dict[str, Any]]:
    """The ClusterRole of the guide, and its binding."""
    (text,) = re.findall(r"```yaml\n([^`]*certificatesigningrequests/approval[^`]*)```", GUIDE.read_text())
    return list(yaml.safe_load_all(text))


async def test_what_the_guide_allows_is_enough(tmp_path: Path):
    async with installed(tmp_path) as place, Client(place.admin) as client:
        await place.apply(allowed())
        signer = Signer(client)
        await tell_roots(client, [{"pem": pem_of(signer.root), "certSigners": [SIGNER]}], SYSTEM)
        mine = settings(tmp_path)
        (tmp_path / "root.pem").write_text(pem_of(signer.root))
        (tmp_path / "token").write_text(await place.token("default", "default"))
        workload = CertSettings(
            identity=SpiffeId("cluster.local", "default", "default"),
            citadel=f"localhost:{mine.port}",
            cluster="gke",
            token_file=tmp_path / "token",
            roots_file=tmp_path / "root.pem",
            first_wait_s=0.05,
            longest_wait_s=0.2,
        )
        certificates = Certificates(workload)
        async with supervise(signer.run(), run_borrowed(mine, CHOICE, place.citadel), certificates.run()):
            held = await certificates.first()

            async def published() -> bool:
                found = await place.find("configmaps", "istio-ca-root-cert")
                return found is not None and found["data"]["root-cert.pem"] == pem_of(signer.root)

            await eventually(published)
        leaf = x509.load_certificate(held.chain)
        assert x509.names(leaf).uris == ("spiffe://cluster.local/ns/default/sa/default",)
        askers = {each["spec"]["username"] for each in signer.requests}
        assert askers == {f"system:serviceaccount:{SYSTEM}:istio-citadel-service-account"}


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("certificatesigningrequests", "cannot create resource"),
        ("certificatesigningrequests/approval", "cannot update resource"),
        ("signers", f'not permitted to approve requests with signerName "{SIGNER}"'),
    ],
)
async def test_what_it_lacks_is_told_where_people_look(tmp_path: Path, lost: str, words: str):
    async with installed(tmp_path) as place, Client(place.admin) as client:
        role, binding = allowed()
        role["rules"] = [each for each in role["rules"] if lost not in each["resources"]]
        await place.apply([role, binding])
        signer = Signer(client)
        await tell_roots(client, [{"pem": pem_of(signer.root)}], SYSTEM)
        mine = settings(tmp_path)
        async with supervise(signer.run(), run_borrowed(mine, CHOICE, place.citadel)):

            async def told() -> bool:
                try:
                    answer = await fetch("GET", mine.monitoring_port, "/ready")
                except OSError:
                    return False
                return answer.status == 503 and words in answer.body.decode()

            await eventually(told)
        assert signer.requests == []
