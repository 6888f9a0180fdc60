"""Who gets a certificate, and by which cluster's word: real API servers review real tokens."""

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from isthmus.ca.rates import Limits, Rate
from isthmus.kit import x509
from isthmus.kit.protobuf import field
from isthmus.model.signing import SigningRequest
from isthmus.wire.stream import Code, Refused
from unit.ca.clusters import World, world

REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"


@pytest.fixture
async def mesh(tmp_path: Path, api_server: str) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def refused(mesh: World, token: str, clusterid: str = "gke", request: bytes = b"") -> Refused:
    """How the service refuses; what it tells the caller is in its log as well."""
    with capture_logs() as logs, pytest.raises(Refused) as raised:
        await mesh.desk.ask(token, clusterid, request)
    warned = [log for log in logs if log["log_level"] == "warning"]
    if warned[0]["event"] in {"caller not proven", "caller cannot be proven now"}:
        assert [log["reason"] for log in warned] == [raised.value.text]
    assert warned, "the log does not know"
    return raised.value


async def test_a_certificate_names_its_holder_and_the_cluster_that_vouched(mesh: World):
    near = await mesh.desk.ask(mesh.gke.token())
    far = await mesh.desk.ask(mesh.onprem.token(), "onprem")
    assert x509.names(near) == x509.Names(uris=(REVIEWS,), dns=("gke.clusters.cluster.local",))
    assert x509.names(far) == x509.Names(uris=(REVIEWS,), dns=("onprem.clusters.cluster.local",))


@pytest.mark.parametrize("claimed", ["", "elsewhere"])
async def test_the_token_decides_and_not_the_claim(mesh: World, claimed: str):
    found = await mesh.desk.ask(mesh.gke.token(), claimed)
    assert x509.names(found).dns == ("gke.clusters.cluster.local",)


@pytest.mark.parametrize(("of", "claimed"), [("gke", "onprem"), ("onprem", "gke"), ("onprem", "elsewhere")])
async def test_a_token_of_another_cluster_than_the_claimed_one_is_refused(mesh: World, of: str, claimed: str):
    token = (mesh.gke if of == "gke" else mesh.onprem).token()
    error = await refused(mesh, token, claimed)
    assert error.code is Code.UNAUTHENTICATED
    asked = "onprem" if claimed == "onprem" else "gke"
    assert f"says the API server of cluster '{asked}'" in error.text
    assert ("'elsewhere', which the caller names, is not registered" in error.text) == (
        claimed == "elsewhere"
    )


async def test_a_token_of_another_audience_is_refused(mesh: World):
    error = await refused(mesh, mesh.gke.token(("https://kubernetes.default.svc", "vault")))
    assert error.code is Code.UNAUTHENTICATED
    assert error.text.startswith("the token is not for 'istio-ca': ")
    assert "vault" in error.text


async def test_an_expired_token_is_refused(mesh: World):
    error = await refused(mesh, mesh.gke.token(ago_s=3600 + 120))
    assert error.code is Code.UNAUTHENTICATED
    assert error.text.startswith("the token expired 12")


async def test_a_token_whose_pod_is_gone_is_refused(mesh: World):
    token = mesh.gke.token()
    await mesh.gke.delete_pod()
    error = await refused(mesh, token)
    assert error.code is Code.UNAUTHENTICATED
    assert error.text.startswith("the token outlived what it is bound to: ")
    assert "service account token has been invalidated" in error.text


async def test_a_forged_token_is_refused(mesh: World):
    head, body, signature = mesh.gke.token().split(".")
    error = await refused(mesh, f"{head}.{body}.{signature[::-1]}")
    assert error.code is Code.UNAUTHENTICATED


async def test_a_cluster_vouches_only_for_the_namespaces_that_the_operator_gave_it(tmp_path: Path):
    async with world(tmp_path, frozenset({"shop"})) as mesh:
        error = await refused(mesh, mesh.onprem.token(), "onprem")
        assert error.code is Code.PERMISSION_DENIED
        assert "'onprem' does not count for namespace 'default' (hint: --vouch=onprem=default" in error.text
        assert await mesh.desk.ask(mesh.gke.token())


async def test_an_api_server_that_is_away_is_told_from_a_refusal(mesh: World):
    await mesh.onprem.cluster.stop_serving()
    error = await refused(mesh, mesh.onprem.token(), "onprem")
    assert error.code is Code.UNAVAILABLE


async def test_who_asks_for_another_is_refused_and_told_so(mesh: World):
    wanted = b"spiffe://cluster.local/ns/default/sa/ratings"
    entry = field(1, b"ImpersonatedIdentity") + field(2, field(3, wanted))
    request = SigningRequest(x509.new_csr(x509.new_key())).encode() + field(3, field(1, entry))
    error = await refused(mesh, mesh.gke.token(), request=request)
    assert error.code is Code.PERMISSION_DENIED
    assert error.text.startswith(f"{REVIEWS} may not ask for {wanted.decode()}")


async def test_other_metadata_of_a_request_is_of_no_concern(mesh: World):
    entry = field(1, b"CertSigner") + field(2, field(3, b"clusterissuers.x/y"))
    request = SigningRequest(x509.new_csr(x509.new_key())).encode() + field(3, field(1, entry))
    assert x509.names(await mesh.desk.ask(mesh.gke.token(), request=request)).uris == (REVIEWS,)


async def test_every_issue_is_in_the_audit_log(mesh: World):
    with capture_logs() as logs:
        issued = await mesh.desk.ask(mesh.onprem.token(), "onprem")
        await mesh.desk.ask(mesh.gke.token())
    first, second = [json.loads(line) for line in mesh.desk.audit_file.read_text().splitlines()]
    time = first.pop("time")
    assert first == {
        "event": "certificate issued",
        "identity": REVIEWS,
        "cluster": "onprem",
        "proof": "token",
        "pod": "reviews-0",
        "address": "ipv4:10.0.0.1",
        "serial": x509.serial(issued),
        "sha256": x509.fingerprint(issued),
        "until": f"{issued.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert time < first["until"]
    assert second["cluster"] == "gke"
    assert [log for log in logs if first.items() <= log.items()]
    assert stat.S_IMODE(mesh.desk.audit_file.stat().st_mode) == 0o600


async def test_an_audit_file_that_cannot_be_written_costs_nobody_a_certificate(mesh: World):
    mesh.desk.audit_file.mkdir()
    with capture_logs() as logs:
        for _ in range(2):
            assert await mesh.desk.ask(mesh.gke.token())
    assert len([log for log in logs if log["event"] == "audit file not written"]) == 1
    assert len([log for log in logs if log["event"] == "certificate issued"]) == 2


async def test_a_cluster_that_asks_too_often_takes_nothing_from_others(tmp_path: Path):
    async with world(tmp_path, limits=Limits(cluster=Rate(per_s=0, burst=2))) as mesh:
        for _ in range(2):
            await mesh.desk.ask(mesh.onprem.token(), "onprem")
        with pytest.raises(Refused, match="too many requests of cluster 'onprem'"):
            await mesh.desk.ask(mesh.onprem.token(), "onprem")
        assert await mesh.desk.ask(mesh.gke.token())
