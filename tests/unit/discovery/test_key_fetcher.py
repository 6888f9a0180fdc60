"""Fetching keys: what is asked, what is believed, and where nobody asks."""

from __future__ import annotations

import ssl
from ipaddress import ip_network

import pytest

from fakes.issuers import Key, Publisher, jwks
from fakes.pki import Pki
from isthmus.discovery.key_fetcher import CannotFetch, KeyFetcher
from isthmus.kit.jwks import read_jwks
from isthmus.model.key_source import KeySource
from isthmus.settings import NEAR

KEY = Key()
WANTED = read_jwks(jwks(KEY))
ANYWHERE = KeyFetcher(())
USUAL = KeyFetcher([ip_network(each) for each in NEAR])


@pytest.fixture
async def issuer():
    async with Publisher(KEY).serving() as found:
        yield found


async def refused(source, fetcher=ANYWHERE, limit_s=5.0):
    """Why there are no keys."""
    with pytest.raises(CannotFetch) as error:
        await fetcher.fetch(source, limit_s)
    return str(error.value)


async def test_keys_are_fetched_from_where_they_are_or_where_the_issuer_says(issuer):
    assert await ANYWHERE.fetch(KeySource(issuer.uri), 5) == WANTED
    named = KeySource(f"{issuer.name}/.well-known/openid-configuration", issuer.name)
    assert await ANYWHERE.fetch(named, 5) == WANTED
    issuer.issuer = "https://another.example"
    assert "speaks of another issuer" in await refused(named)


async def test_redirects_are_followed_so_many_times_and_never_out_of_http(issuer):
    def moved(to):
        return KeySource(f"{issuer.name}/moved?to={to}")

    assert await ANYWHERE.fetch(moved("/keys"), 5) == WANTED
    for to in ("file:///etc/passwd", "gopher://x/", "https:///x"):
        assert "fetched" in (why := await refused(moved(to))) or "names no host" in why
    issuer.headers, issuer.status = {"location": "/keys"}, 302
    assert "leads on more than 5 times" in await refused(KeySource(issuer.uri))


async def test_what_is_answered_is_bounded_and_not_repeated(issuer):
    source = KeySource(issuer.uri)
    issuer.body = "x" * ((1 << 20) + 1)
    assert "more than 1 MB" in await refused(source)
    issuer.body = "a secret of somebody"
    assert "secret" not in (why := await refused(source))
    assert why.endswith('is no JWKS (hint: {"keys": [{"kty": "RSA", …}]})')
    issuer.headers = {"content-encoding": "gzip"}
    assert "encoding" in await refused(source)
    issuer.headers, issuer.status = {}, 404
    assert (await refused(source)).endswith("/keys answers 404")
    issuer.status, issuer.wait_s = 200, 5
    assert await refused(source, limit_s=0.1) == "no answer within 100ms"


async def test_who_is_away_or_has_no_name_is_said():
    assert "cannot be reached" in await refused(KeySource("http://127.0.0.1:1/keys"))
    assert "has no address" in await refused(KeySource("https://nobody.invalid/keys"))


async def test_nobody_asks_this_machine_or_its_links(issuer):
    port = issuer.name.rpartition(":")[2]
    near = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
    ]
    for host in ("127.1", "2130706433"):
        assert await refused(KeySource(f"http://{host}:{port}/keys"), USUAL), "an address in another form"
    for host in near:
        assert "is not asked" in await refused(KeySource(f"http://{host}:{port}/keys"), USUAL), host
    assert issuer.asked == 0
    assert "is not fetched" in await refused(KeySource("file:///etc/passwd"), USUAL)


async def test_a_way_that_leads_to_this_machine_is_not_gone(issuer):
    others = KeyFetcher([ip_network("127.0.0.2/32")])
    source = KeySource(f"{issuer.name}/moved?to=http://127.0.0.2/keys")
    assert "127.0.0.2 is not asked" in await refused(source, others)


async def test_servers_are_believed_by_the_systems_cas_and_those_that_are_given(tmp_path):
    pki = Pki()
    shown = pki.leaf(dns=("localhost",))
    (tmp_path / "shown.pem").write_bytes(shown.certificate + shown.key)
    (tmp_path / "roots.pem").write_bytes(pki.roots)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "shown.pem")
    async with Publisher(KEY).serving(context) as issuer:
        source = KeySource(issuer.uri)
        assert "is not believed" in await refused(source)
        assert await KeyFetcher((), str(tmp_path / "roots.pem")).fetch(source, 5) == WANTED
        plain = KeySource(f"{issuer.name}/moved?to=http://localhost/keys")
        with pytest.raises(CannotFetch, match="leads out of TLS"):
            await KeyFetcher((), str(tmp_path / "roots.pem")).fetch(plain, 5)
        assert "cannot be read" in await refused(source, KeyFetcher((), str(tmp_path / "none.pem")))
        (tmp_path / "roots.pem").write_text("nonsense")
        assert "cannot be read" in await refused(source, KeyFetcher((), str(tmp_path / "roots.pem")))
