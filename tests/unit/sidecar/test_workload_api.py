"""Certificates by the Workload API: taken, checked, renewed, handed to Envoy with the roots of other domains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.eventually import eventually
from fakes.workload_api import TrustDomain, WorkloadApi, answer, der, each_byte_changed, key_der
from isthmus.envoy.types import Secret
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.der import load_certificates
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.sidecar import sds
from isthmus.sidecar.certs import Certificates, CertSettings
from isthmus.sidecar.citadel_call import SigningFailed
from isthmus.sidecar.environment import InvalidEnvironment, agent_settings
from isthmus.sidecar.source import certificate_source
from isthmus.sidecar.workload_api import SvidAnswer, Svids, SvidSettings, checked

REVIEWS = SpiffeId("cluster.local", "default", "reviews")
RATINGS = "spiffe://cluster.local/ns/default/sa/ratings"
OURS, PEERS = TrustDomain("cluster.local"), TrustDomain("partner.example")


@asynccontextmanager
async def api_and_svids(place: Path, says: bytes | None) -> AsyncIterator[tuple[WorkloadApi, Svids]]:
    api = WorkloadApi(place / "agent.sock")
    api.says.set(says)
    settings = SvidSettings(identity=REVIEWS, socket=api.socket, first_wait_s=0.02, longest_wait_s=0.1)
    svids = Svids(settings, SystemClock())
    async with supervise(api.server.run()):
        await api.server.addresses()
        async with supervise(svids.run()):
            yield api, svids


async def test_what_the_workload_api_gives_is_held(tmp_path: Path):
    async with api_and_svids(tmp_path, answer(OURS.svid(str(REVIEWS)))) as (_, svids):
        held = await svids.first()
        holding = svids.holding()
    leaf, between = x509.load_bundle(held.chain)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert between == OURS.intermediate
    assert x509.matches(leaf, x509.load_key(held.key))
    assert x509.load_bundle(held.roots) == (OURS.root,)
    assert held.issuer == x509.fingerprint(OURS.intermediate)
    assert svids.is_valid
    assert (holding.source, holding.chain[0].serial) == (f"unix:{tmp_path}/agent.sock", held.serial)
    assert "PRIVATE" not in repr(held)


async def test_what_is_renewed_comes_by_itself(tmp_path: Path):
    async with api_and_svids(tmp_path, answer(OURS.svid(str(REVIEWS)))) as (api, svids):
        first = await svids.first()
        api.says.set(answer(OURS.svid(str(REVIEWS))))

        async def renewed() -> bool:
            return svids.held.value != first

        await eventually(renewed)
        assert api.streams == 1


async def test_of_several_identities_ours_is_taken(tmp_path: Path):
    says = answer(OURS.svid(RATINGS), OURS.svid(str(REVIEWS)))
    async with api_and_svids(tmp_path, says) as (_, svids):
        held = await svids.first()
    assert x509.names(x509.load_certificate(held.chain)).uris == (str(REVIEWS),)


async def test_a_workload_without_an_entry_is_told_which_one_it_needs_and_heals(tmp_path: Path):
    async with api_and_svids(tmp_path, None) as (api, svids):

        async def told() -> bool:
            failure = svids.holding().failure
            return failure is not None and f"entry create -spiffeID {REVIEWS}" in failure.reason

        await eventually(told)
        assert svids.held.value is None
        assert svids.failed > 0
        api.says.set(answer(OURS.svid(str(REVIEWS))))
        await svids.first()
        assert svids.holding().failure is None


async def test_an_api_that_goes_away_leaves_what_was_held_and_is_dialled_again(tmp_path: Path):
    async with api_and_svids(tmp_path, answer(OURS.svid(str(REVIEWS)))) as (api, svids):
        first = await svids.first()
        api.hang_up()

        async def back() -> bool:
            return api.streams == 2

        await eventually(back)
        assert svids.held.value is not None
        assert svids.held.value.serial == first.serial


async def test_an_answer_that_cannot_be_used_leaves_the_last_good_one(tmp_path: Path):
    async with api_and_svids(tmp_path, answer(OURS.svid(str(REVIEWS)))) as (api, svids):
        first = await svids.first()
        api.says.set(answer(OURS.svid(RATINGS)))

        async def told() -> bool:
            failure = svids.holding().failure
            return failure is not None and f"it knows this workload as {RATINGS}" in failure.reason

        await eventually(told)
        assert svids.held.value == first
        assert svids.is_valid


def strange_root() -> bytes:
    return PEERS.bundle


WRONG = {
    "nobody": (answer(), "nobody"),
    "another's certificate": (answer(OURS.svid(RATINGS, spiffe_id=str(REVIEWS).encode())), "is for"),
    "another key": (answer(OURS.svid(str(REVIEWS), key=key_der(x509.new_key()))), "its key is not"),
    "another root": (answer(OURS.svid(str(REVIEWS), bundle=PEERS.bundle)), "which is not there"),
    "no root": (answer(OURS.svid(str(REVIEWS), bundle=b"")), "which is not there"),
    "no chain": (answer(OURS.svid(str(REVIEWS), chain=b"")), "no certificate"),
    "a chain cut short": (
        answer(OURS.svid(str(REVIEWS), chain=der(OURS.root)[:-1])),
        "not certificates in DER",
    ),
    "a CA": (answer(OURS.svid(str(REVIEWS), chain=der(OURS.intermediate))), "is for"),
    "an ended one": (answer(OURS.svid(str(REVIEWS), life_s=-30)), "ended at"),
    "no key": (answer(OURS.svid(str(REVIEWS), key=b"")), "not a private key in DER"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_not_held_and_said(case: str):
    body, text = WRONG[case]
    with pytest.raises((SigningFailed, ValueError), match=text):
        checked(SvidAnswer.decode(body), REVIEWS, SystemClock().now())


def test_no_answer_whatever_its_bytes_crashes_or_gives_another_identity():
    good = answer(OURS.svid(str(REVIEWS)), federated={"spiffe://partner.example": PEERS.bundle})
    now = SystemClock().now()
    for body in (*each_byte_changed(good, 3), *(good[:at] for at in range(0, len(good), 7))):
        try:
            held = checked(SvidAnswer.decode(body), REVIEWS, now)
        except (SigningFailed, ValueError):
            continue
        assert x509.names(x509.load_certificate(held.chain)).uris == (str(REVIEWS),)


def test_roots_of_other_trust_domains_speak_for_their_own_alone():
    body = answer(
        OURS.svid(str(REVIEWS)),
        federated={"spiffe://partner.example": PEERS.bundle, "spiffe://cluster.local": PEERS.bundle},
    )
    held = checked(SvidAnswer.decode(body), REVIEWS, SystemClock().now())
    assert held.federated == (("partner.example", x509.bundle_pem([PEERS.root])),)
    assert x509.load_bundle(held.roots) == (OURS.root,)
    secret = Secret.FromString(sds.secrets(held, SystemClock().now())["ROOTCA"].body)
    validator = secret.validation_context.custom_validator_config
    assert validator.name == "envoy.tls.cert_validator.spiffe"
    assert not secret.validation_context.HasField("trusted_ca")
    config = validator.typed_config
    assert config.type_url.endswith("SPIFFECertValidatorConfig")
    for domain, root in (("cluster.local", OURS.root), ("partner.example", PEERS.root)):
        assert domain.encode() in config.value
        assert x509.bundle_pem([root]) in config.value


def test_agents_use_a_workload_api_where_they_are_told_one_else_citadel(tmp_path: Path):
    environment = {
        "POD_NAME": "reviews-1",
        "POD_NAMESPACE": "default",
        "INSTANCE_IP": "10.0.0.1",
        "ISTIO_META_CLUSTER_ID": "gke",
    }
    from isthmus.sidecar.environment import AgentFlags

    told = agent_settings(
        environment | {"SPIFFE_ENDPOINT_SOCKET": "unix:///run/spire/agent.sock"}, AgentFlags()
    )
    assert told.certificates.workload_api == "unix:/run/spire/agent.sock"
    assert isinstance(certificate_source(told.certificates, SystemClock()), Svids)
    plain = CertSettings(identity=REVIEWS)
    assert isinstance(certificate_source(plain, SystemClock()), Certificates)
    with pytest.raises(InvalidEnvironment, match="not a unix socket"):
        agent_settings(environment | {"SPIFFE_ENDPOINT_SOCKET": "tcp://127.0.0.1:8081"}, AgentFlags())


def test_certificates_in_der_are_read_one_after_the_other():
    both = der(OURS.root) + der(OURS.intermediate)
    assert load_certificates(both) == (OURS.root, OURS.intermediate)
    assert load_certificates(b"") == ()
    for broken in (
        both[:-1],
        both + b"\x30",
        both + b"\x30\x80",
        b"\x30\x85\xff\xff\xff\xff\xff",
        b"\x02\x01\x00",
    ):
        with pytest.raises(x509.InvalidCertificate):
            load_certificates(broken)
