import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace

from fakes.citadel import LoopbackCitadel, loopback_citadel
from isthmus.ca.rates import Limits, Rate
from isthmus.kit import x509
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.sidecar.certs import Certificates, CertSettings, Held
from isthmus.sidecar.citadel_call import CitadelCall, SigningFailed
from isthmus.wire.call import Channel, ClientTls
from isthmus.wire.stream import Call, Code, Peer, Refused

NOW = 1_800_000_000.0
REVIEWS = SpiffeId("cluster.local", "default", "reviews")


class NearCitadel:
    """The service of a Citadel, called without a network, and the root file that it writes."""

    def __init__(self, place: Path, clock: ManualClock, limits: Limits | None = None) -> None:
        self.clock = clock
        self.near = LoopbackCitadel(place / "ca", clock, limits=limits or Limits())
        settings = self.near.workload("reviews", place / "pod", 3600)
        self.settings = replace(settings, roots_check_s=20, first_wait_s=1, longest_wait_s=5)
        self.service = self.near.citadel
        self.away = False
        self.asked = 0

    async def __call__(self, request: SigningRequest, _: bytes) -> SigningAnswer:
        self.asked += 1
        if self.away:
            raise SigningFailed("citadel is away")
        issued = self.near.authority.value.sign(request.csr, REVIEWS, request.lifetime_s)
        return SigningAnswer(issued.chain, self.near.authority.value.roots_pem)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def citadel(tmp_path: Path, clock: ManualClock) -> NearCitadel:
    return NearCitadel(tmp_path, clock)


async def settled(certificates: Certificates, citadel: NearCitadel) -> Held:
    await citadel.clock.advance(0)
    assert certificates.held.value is not None
    return certificates.held.value


async def test_the_certificate_is_ours_with_a_key_that_was_made_here(
    citadel: NearCitadel, clock: ManualClock
):
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        held = await settled(certificates, citadel)
    leaf = x509.load_certificate(held.chain)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert x509.matches(leaf, x509.load_key(held.key))
    assert held.end == NOW + 3600
    assert "PRIVATE" not in repr(held)


async def test_renewal_comes_around_half_of_the_life_with_a_new_key(citadel: NearCitadel, clock: ManualClock):
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        await clock.advance(3600 * 0.39)
        assert certificates.held.value == first
        await clock.advance(3600 * 0.22)
        second = await settled(certificates, citadel)
    assert second.serial != first.serial
    assert second.key != first.key


async def test_a_citadel_that_is_away_is_asked_again_and_the_certificate_stays(
    citadel: NearCitadel, clock: ManualClock
):
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        citadel.away = True
        await clock.advance(3000)
        assert certificates.held.value == first
        assert certificates.is_valid
        assert certificates.failed > 10
        citadel.away = False
        await clock.advance(5)
        assert (await settled(certificates, citadel)).serial != first.serial


async def test_an_expired_certificate_is_not_valid_and_heals(citadel: NearCitadel, clock: ManualClock):
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        await settled(certificates, citadel)
        citadel.away = True
        await clock.advance(3601)
        assert not certificates.is_valid
        citadel.away = False
        await clock.advance(5)
        assert certificates.is_valid


class SetClock(ManualClock):
    """A clock whose wall time somebody sets while the waits go on as they were."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


async def test_a_clock_that_is_set_a_year_ahead_does_not_leave_an_expired_certificate(tmp_path: Path):
    clock = SetClock(NOW)
    citadel = NearCitadel(tmp_path, clock)
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        clock.ahead_s = 365 * 86_400
        assert not certificates.is_valid
        await clock.advance(25)
        assert certificates.is_valid
        assert certificates.held.value != first


async def test_a_token_that_is_no_text_is_a_failure_like_others(citadel: NearCitadel):
    citadel.settings.token_file.write_bytes(b"\xff\xfe")
    with pytest.raises(SigningFailed, match="token: not a token"):
        await CitadelCall(citadel.settings.doors, lambda: None)(SigningRequest(b"csr"), b"")


async def test_a_root_that_is_not_there_yet_is_waited_for(citadel: NearCitadel, clock: ManualClock):
    roots = citadel.settings.roots_file.read_bytes()
    citadel.settings.roots_file.unlink()
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        await clock.advance(10)
        assert certificates.held.value is None
        assert not certificates.is_valid
        assert citadel.asked == 0
        citadel.settings.roots_file.write_bytes(roots)
        await clock.advance(5)
        assert certificates.is_valid


async def test_a_certificate_of_a_ca_that_signs_no_more_is_renewed_within_the_spread(
    citadel: NearCitadel, clock: ManualClock, tmp_path: Path
):
    certificates = Certificates(citadel.settings, citadel, clock)
    issuer = citadel.settings.roots_file.with_name("issuer")
    successor = LoopbackCitadel(tmp_path / "next", clock).authority.value
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        issuer.write_text(first.issuer)
        await clock.advance(60)
        assert certificates.held.value == first
        citadel.settings.roots_file.write_bytes(first.roots + successor.roots_pem)
        issuer.write_text(successor.issuer)
        await clock.advance(60)
        # Another Citadel of the cluster does not know yet: it is asked again, ever less often.
        asked = citadel.asked
        assert 2 <= asked <= 4
        await clock.advance(600)
        assert asked < citadel.asked <= asked + 6
        citadel.near.authority.set(successor)
        await clock.advance(300)
        assert certificates.held.value is not None
        assert certificates.held.value.issuer == successor.issuer
        asked = citadel.asked
        await clock.advance(600)
        assert citadel.asked == asked


async def test_an_issuer_that_is_none_renews_nothing(citadel: NearCitadel, clock: ManualClock):
    certificates = Certificates(citadel.settings, citadel, clock)
    async with supervise(certificates.run()):
        await settled(certificates, citadel)
        for content in (b"", b"\xff\xfe", b"0" * 63, b"0" * 100_000):
            citadel.settings.roots_file.with_name("issuer").write_bytes(content)
            await clock.advance(60)
    assert citadel.asked == 1


async def test_roots_that_are_added_are_taken_over_without_a_new_certificate(
    citadel: NearCitadel, clock: ManualClock, tmp_path: Path
):
    certificates = Certificates(citadel.settings, citadel, clock)
    other = LoopbackCitadel(tmp_path / "other", clock).authority.value.roots_pem
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        both = first.roots + other
        citadel.settings.roots_file.write_bytes(both)
        await clock.advance(20)
        assert certificates.held.value == first._replace(roots=both)


async def test_a_certificate_of_a_root_that_is_gone_is_replaced_at_once(
    citadel: NearCitadel, clock: ManualClock, tmp_path: Path
):
    certificates = Certificates(citadel.settings, citadel, clock)
    other = LoopbackCitadel(tmp_path / "other", clock)
    async with supervise(certificates.run()):
        first = await settled(certificates, citadel)
        citadel.near.authority.set(other.authority.value)
        citadel.settings.roots_file.write_bytes(other.authority.value.roots_pem)
        await clock.advance(30)
        second = await settled(certificates, citadel)
    assert second.serial != first.serial
    assert second.roots == other.authority.value.roots_pem


async def test_an_answer_for_someone_else_or_from_another_root_is_not_used(
    citadel: NearCitadel, clock: ManualClock, tmp_path: Path
):
    other = NearCitadel(tmp_path / "other", clock)
    wrong_name = CertSettings(
        identity=SpiffeId("cluster.local", "default", "ratings"),
        roots_file=citadel.settings.roots_file,
        roots_check_s=3600,
    )
    for settings, sign in ((citadel.settings, other), (wrong_name, citadel)):
        certificates = Certificates(settings, sign, clock)
        async with supervise(certificates.run()):
            await clock.advance(2)
        assert certificates.held.value is None
        assert certificates.failed > 0


async def ask(
    near: LoopbackCitadel, token: str = "token-of-reviews", body: bytes | None = None
) -> SigningAnswer:
    request = SigningRequest(x509.new_csr(x509.new_key()), 600).encode() if body is None else body
    (unary,) = near.citadel.services.values()
    call = Call(Peer("ipv4:10.0.0.1:1234"), {"authorization": f"Bearer {token}"})
    return SigningAnswer.decode(await unary.answer(request, call))


async def test_citadel_signs_for_who_asks_and_says_the_root(citadel: NearCitadel):
    answer = await ask(citadel.near)
    assert x509.names(x509.load_certificate(answer.chain[0])).uris == (str(REVIEWS),)
    assert answer.roots == citadel.near.authority.value.roots_pem
    assert list(citadel.near.citadel.services) == [CREATE_CERTIFICATE]


@pytest.mark.parametrize(
    ("token", "body", "code"),
    [
        ("stolen", None, Code.UNAUTHENTICATED),
        ("token-of-reviews", b"\xff", Code.INVALID_ARGUMENT),
        ("token-of-reviews", SigningRequest(b"please").encode(), Code.INVALID_ARGUMENT),
    ],
)
async def test_citadel_refuses_with_the_right_code(
    citadel: NearCitadel, token: str, body: bytes | None, code: Code
):
    with pytest.raises(Refused) as refused:
        await ask(citadel.near, token, body)
    assert refused.value.code is code


async def test_citadel_says_that_it_cannot_know_while_the_api_server_is_away(citadel: NearCitadel):
    citadel.near.reviewer.away = True
    with pytest.raises(Refused) as refused:
        await ask(citadel.near)
    assert refused.value.code is Code.UNAVAILABLE


async def test_two_hundred_requests_at_once_each_get_the_identity_of_their_token(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        names = [f"w{number}" for number in range(200)]
        settings = [citadel.workload(name, tmp_path / name, 600) for name in names]
        body = SigningRequest(x509.new_csr(x509.new_key()), 600).encode()
        tls = ClientTls(roots=settings[0].roots_file.read_bytes(), server_name="localhost")
        async with Channel(citadel.address, tls) as channel, asyncio.TaskGroup() as group:
            calls = [
                group.create_task(
                    channel.unary(
                        CREATE_CERTIFICATE, body, metadata={"authorization": f"Bearer token-of-{name}"}
                    )
                )
                for name in names
            ]
    leaves = [x509.load_certificate(SigningAnswer.decode(call.result()).chain[0]) for call in calls]
    assert [x509.names(leaf).uris for leaf in leaves] == [
        (f"spiffe://cluster.local/ns/default/sa/{name}",) for name in names
    ]


class SlowClock(SystemClock):
    def now(self) -> float:
        return super().now() - 365 * 86_400


async def test_a_clock_that_is_a_year_late_is_told_with_its_mend(tmp_path: Path):
    citadel = LoopbackCitadel(tmp_path / "ca", SlowClock())
    async with supervise(citadel.citadel.run()):
        (citadel.address,) = await citadel.citadel.grpc.addresses()
        settings = citadel.workload("reviews", tmp_path / "pod", 600)
        with pytest.raises(SigningFailed, match=r"has expired.*\(hint: compare the clocks"):
            await CitadelCall(settings.doors, lambda: None)(
                SigningRequest(b"csr"), settings.roots_file.read_bytes()
            )


async def test_a_citadel_of_another_root_is_told_with_its_mend(tmp_path: Path):
    other = LoopbackCitadel(tmp_path / "other", SystemClock())
    async with loopback_citadel(tmp_path / "ca") as citadel:
        settings = citadel.workload("reviews", tmp_path / "pod", 600)
        with pytest.raises(SigningFailed, match=r"\(hint: ConfigMap istio-ca-root-cert holds other roots"):
            await CitadelCall(settings.doors, lambda: None)(
                SigningRequest(b"csr"), other.authority.value.roots_pem
            )


async def test_a_huge_request_is_refused_before_it_is_read(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        settings = citadel.workload("reviews", tmp_path / "pod", 600)
        roots = settings.roots_file.read_bytes()
        with pytest.raises(SigningFailed, match=r"resource exhausted: .*65536"):
            await CitadelCall(settings.doors, lambda: None)(SigningRequest(b"x" * 1_000_000), roots)


async def test_who_asks_too_often_is_told_so(tmp_path: Path, clock: ManualClock):
    limits = Limits(identity=Rate(per_s=1, burst=2), address=Rate(per_s=100, burst=100))
    near = NearCitadel(tmp_path, clock, limits).near
    await ask(near)
    await ask(near)
    with pytest.raises(Refused) as refused:
        await ask(near)
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    await clock.advance(1)
    await ask(near)


async def test_a_certificate_comes_over_the_network(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        certificates = Certificates(citadel.workload("reviews", tmp_path / "pod", 3600))
        async with supervise(certificates.run()):
            held = await certificates.first()
    assert x509.names(x509.load_certificate(held.chain)).uris == (str(REVIEWS),)


async def test_a_citadel_of_another_root_is_not_even_shown_the_token(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        settings = citadel.workload("reviews", tmp_path / "pod", 3600)
        other = LoopbackCitadel(tmp_path / "other", SystemClock()).authority.value.roots_pem
        with pytest.raises(SigningFailed, match="unavailable"):
            await CitadelCall(settings.doors, lambda: None)(
                SigningRequest(x509.new_csr(x509.new_key())), other
            )
        assert citadel.reviewer.asked == []


async def test_citadel_takes_over_new_files_and_keeps_the_old_ones_when_they_are_broken(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        first = citadel.authority.value
        LoopbackCitadel(tmp_path / "other", SystemClock())
        (tmp_path / "ca" / "ca-key.pem").write_bytes((tmp_path / "other" / "ca-key.pem").read_bytes())
        await asyncio.sleep(0.2)
        assert citadel.authority.value is first
        for path in (tmp_path / "other").iterdir():
            (tmp_path / "ca" / path.name).write_bytes(path.read_bytes())
        async for authority in citadel.authority.changes():
            if authority is not first:
                break
        certificates = Certificates(citadel.workload("reviews", tmp_path / "pod", 3600))
        async with supervise(certificates.run()):
            await certificates.first()


@pytest.mark.parametrize("ahead_s", [-290, 290])
async def test_clocks_that_differ_by_minutes_cost_no_certificate(citadel: NearCitadel, ahead_s: float):
    own = ManualClock(NOW + ahead_s)
    certificates = Certificates(citadel.settings, citadel, own)
    async with supervise(certificates.run()):
        await own.advance(0)
        assert certificates.is_valid
        assert citadel.asked == 1
        await citadel.clock.advance(3600 * 0.7)
        await own.advance(3600 * 0.7)
        assert certificates.is_valid
        assert certificates.received == 2


@pytest.mark.parametrize("kind", list(KeyKind))
async def test_a_workloads_key_is_of_the_kind_that_is_wished(tmp_path: Path, kind: KeyKind):
    citadel = NearCitadel(tmp_path, ManualClock(SystemClock().now()))
    certificates = Certificates(replace(citadel.settings, key_kind=kind), citadel)
    async with supervise(certificates.run()):
        held = await certificates.first()
    key = x509.load_key(held.key)
    assert key.key_size == int(kind.value.rpartition("-")[2].removeprefix("p"))
    assert kind.value.startswith("rsa" if isinstance(key, rsa.RSAPrivateKey) else "ec")
    assert x509.matches(x509.load_certificate(held.chain), key)
