"""The ring of bundles: what is asked when, what stays while nothing comes, and what is let go of."""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fakes.manifests import EAST, WEST
from fakes.pki import Pki
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Meta, Ref
from isthmus.discovery.bundle_ring import BundleRing
from isthmus.discovery.key_fetcher import CannotFetch, KeyFetcher
from isthmus.kit import x509
from isthmus.kit.clock import ManualClock
from isthmus.kit.spiffe_bundle import written
from isthmus.kit.tasks import supervise
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.trust_bundles import TrustBundle

LIFE = x509.Life(1_600_000_000, 4_000_000_000)
ONE, TWO = (x509.root(x509.new_key(), name, LIFE) for name in ("one", "two"))
ENDED = x509.root(x509.new_key(), "ended", x509.Life(1, 1_000_000))
URL = "https://partner.example/bundle.json"
SETTINGS = ChangeKey(EAST, Ref("ConfigMap", "istio-system", "istio"))


def settings(*urls: str, text: str = "") -> Change:
    entries = [{"spiffeBundleUrl": url, "trustDomains": ["partner.example"]} for url in urls]
    data = {"mesh": text or json.dumps({"caCertificates": entries})}
    return Change(SETTINGS, ConfigMap(metadata=Meta(name="istio", namespace="istio-system"), data=data))


def believed(*roots: x509.Certificate) -> tuple[TrustBundle, ...]:
    return (TrustBundle("partner.example", x509.bundle_pem(roots).decode()),) if roots else ()


class Partner:
    """A ring, the mesh that it tells, and a partner that answers as it is told to."""

    def __init__(self) -> None:
        self.clock, self.answers, self.asked = ManualClock(), {URL: written([ONE])}, []
        self.builder = MeshBuilder(MeshSettings(config_cluster=EAST))
        self.ring = BundleRing(SETTINGS, self._take, self._fetch, clock=self.clock)

    def hear(self, change: Change) -> None:
        self.ring.hear(change)
        self._take(change)

    def _take(self, change: Change) -> None:
        self.builder.apply([change])

    async def _fetch(self, url: str, limit_s: float) -> bytes:
        self.asked.append(url)
        if (answer := self.answers.get(url)) is None:
            raise CannotFetch("it is away")
        return answer.encode()

    @property
    def bundles(self) -> tuple[TrustBundle, ...]:
        return self.builder.mesh.settings.bundles

    @property
    def findings(self) -> list[str]:
        return [each.message for each in self.builder.mesh.findings]


@pytest.fixture
async def partner():
    found = Partner()
    async with supervise(found.ring.run()):
        yield found


async def test_the_first_mesh_waits_for_a_word_of_each_bundle(partner):
    assert await partner.ring.settled(1)
    partner.ring.hear(settings(URL, "https://away.example/"))
    assert not await partner.ring.settled(0)
    await partner.clock.advance(0)
    assert await partner.ring.settled(1)
    partner.builder.apply([settings(URL)])
    assert partner.bundles == believed(ONE)
    assert partner.builder.mesh.settings.believed_domains == ("cluster.local", "partner.example")


async def test_a_bundle_says_how_soon_it_is_asked_for_again_within_bounds(partner):
    for hint, wait_s in ((60, 60), (0, 300), (1, 30), (-7, 300), (10**9, 86400)):
        partner.answers[URL] = written([ONE], refresh_s=hint)
        partner.hear(settings(URL))
        await partner.clock.advance(0)
        partner.asked.clear()
        await partner.clock.advance(wait_s * 0.89)
        assert partner.asked == [], hint
        await partner.clock.advance(wait_s * 0.11)
        assert partner.asked == [URL], hint
        partner.hear(settings())
        await partner.clock.advance(0)
        assert partner.bundles == ()


async def test_the_last_good_bundle_stays_and_it_is_said_why_there_is_no_newer_one(partner):
    partner.hear(settings(URL))
    await partner.clock.advance(0)
    leaf = x509.leaf(
        x509.Issuer(ONE, (key := x509.new_key())), key.public_key(), x509.Names(common_name="leaf"), LIFE
    )
    for answer, why in (
        (None, "it is away"),
        ("no JSON", "is no SPIFFE bundle"),
        (json.dumps({"keys": []}), "has no certificate"),  # who takes its bundle back: the operator decides
        (written([leaf]), "'leaf' is no CA"),
        (written([ONE] * 99), "has 99 roots"),
        (written([ENDED]), "has no root that is good still: the last ended at 1970-01-12"),
    ):
        partner.answers[URL] = answer
        await partner.clock.advance(300)
        assert partner.bundles == believed(ONE), why
        (said,) = partner.findings
        assert why in said
        assert said.endswith("the last good bundle stays")
    partner.answers[URL] = written([TWO])
    await partner.clock.advance(300)
    assert (partner.bundles, partner.findings) == (believed(TWO), [])


async def test_of_which_nothing_ever_came_nobody_is_believed_and_it_is_asked_more_and_more_seldom(partner):
    del partner.answers[URL]
    partner.hear(settings(URL))
    await partner.clock.advance(0)
    assert partner.findings == ["it is away: nobody of the domain is believed by it"]
    await partner.clock.advance(3600)
    assert 10 < len(partner.asked) < 25
    partner.answers[URL] = written([ONE])
    await partner.clock.advance(300)
    assert partner.bundles == believed(ONE)


async def test_an_older_bundle_than_the_one_that_is_held_is_not_taken(partner):
    partner.answers[URL] = written([TWO], sequence=7)
    partner.hear(settings(URL))
    await partner.clock.advance(0)
    for sequence, roots in ((6, TWO), (7, TWO), (8, ONE)):
        partner.answers[URL] = (
            written([ONE], sequence=sequence) if sequence != 7 else written([TWO], sequence=7)
        )
        await partner.clock.advance(300)
        assert partner.bundles == believed(roots)
        assert bool(partner.findings) == (sequence == 6)
        assert all("older (sequence 6) than what it answered before (7)" in each for each in partner.findings)


async def test_settings_that_cannot_be_read_and_those_of_others_change_nothing(partner):
    partner.hear(settings(URL))
    await partner.clock.advance(0)
    partner.hear(settings(text="caCertificates: ["))
    partner.hear(settings()._replace(key=SETTINGS._replace(cluster=WEST)))
    partner.answers[URL] = written([TWO])
    await partner.clock.advance(300)
    assert partner.bundles == believed(TWO)
    partner.hear(Change(SETTINGS, None))
    await partner.clock.advance(0)
    partner.asked.clear()
    await partner.clock.advance(86400)
    assert (partner.bundles, partner.asked) == ((), [])


async def test_another_url_for_the_domain_is_followed_instead(partner):
    other = "https://other.example/bundle.json"
    partner.answers[other] = written([TWO])
    partner.hear(settings(URL))
    await partner.clock.advance(0)
    partner.hear(settings(other))
    await partner.clock.advance(0)
    assert partner.bundles == believed(TWO)
    partner.asked.clear()
    await partner.clock.advance(300)
    assert set(partner.asked) == {other}


@asynccontextmanager
async def served(tls: ssl.SSLContext, body: bytes):
    """A bundle endpoint on loopback."""
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app.router.add_get("/bundle.json", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}/bundle.json"
    finally:
        await runner.cleanup()


def server(pki: Pki, folder: Path) -> ssl.SSLContext:
    shown, context = pki.leaf(dns=("localhost",)), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = folder / "pair.pem"
    pair.write_bytes(shown.certificate + shown.key)
    context.load_cert_chain(pair)
    return context


async def test_a_bundle_is_fetched_from_whom_the_system_and_the_operator_believe_and_from_nobody_else(
    tmp_path,
):
    pki, roots = Pki(), tmp_path / "roots.pem"
    roots.write_bytes(pki.roots)
    async with served(server(pki, tmp_path), written([ONE]).encode()) as url:
        assert await KeyFetcher((), str(roots)).body(url, 5) == written([ONE]).encode()
        with pytest.raises(CannotFetch, match="is not believed"):
            await KeyFetcher(()).body(url, 5)
        roots.write_bytes(Pki("other").roots)
        with pytest.raises(CannotFetch, match="is not believed"):
            await KeyFetcher((), str(roots)).body(url, 5)
    roots.write_bytes(pki.roots)
    async with served(server(pki, tmp_path), b" " * (2 << 20)) as url:
        with pytest.raises(CannotFetch, match="more than 1 MB"):
            await KeyFetcher((), str(roots)).body(url, 5)
