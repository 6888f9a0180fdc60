"""SPIRE's own server and agent: what they give is held, renewed and handed to real Envoys, whatever happens to them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from e2e.workloads import needs
from fakes.eventually import eventually
from fakes.ports import free_ports
from fakes.spire import NEEDS, Spire, spire
from fakes.svid_envoys import svid_envoy
from fakes.tls_envoys import proxy_config
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import HttpServer, Request, Response, fetch
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.workload_api import Svids, SvidSettings

CLIENT = SpiffeId("cluster.local", "default", "client")
SERVER = SpiffeId("cluster.local", "default", "server")
SHORT = ("-x509SVIDTTL", "20")
"""Renewed some seconds later."""


@pytest.fixture
def place() -> Iterator[Path]:
    needs(*NEEDS)
    # Paths of unix sockets are short, pytest's are not.
    directory = tempfile.mkdtemp(prefix="isthmus-")
    yield Path(directory)
    shutil.rmtree(directory)


@asynccontextmanager
async def listening(home: Spire, identity: SpiffeId = CLIENT) -> AsyncIterator[Svids]:
    """An agent of ours at SPIRE's."""
    settings = SvidSettings(identity=identity, socket=home.socket, first_wait_s=0.05, longest_wait_s=0.5)
    svids = Svids(settings, SystemClock())
    async with supervise(svids.run()):
        yield svids


def holds(svids: Svids, test: Callable[[Svids], bool]) -> Callable[[], Awaitable[bool]]:
    async def held() -> bool:
        return svids.held.value is not None and test(svids)

    return held


async def test_a_workload_is_told_which_entry_it_needs_and_then_gets_its_certificate_and_the_next(
    place: Path,
):
    async with spire(place) as home, listening(home) as svids:

        async def told() -> bool:
            failure = svids.holding().failure
            return failure is not None and f"entry create -spiffeID {CLIENT}" in failure.reason

        await eventually(told)
        await home.allow("spiffe://cluster.local/ns/default/sa/other", *SHORT)
        await eventually(
            lambda: _reason(svids, "it knows this workload as spiffe://cluster.local/ns/default/sa/other")
        )
        await home.allow(str(CLIENT), *SHORT)
        first = await svids.first()
        assert svids.holding().failure is None
        await eventually(holds(svids, lambda each: each.held.value.serial != first.serial))
        then = svids.held.value
    leaf = x509.load_certificate(then.chain)
    assert x509.names(leaf).uris == (str(CLIENT),)
    assert x509.matches(leaf, x509.load_key(then.key))
    assert then.roots == first.roots


async def _reason(svids: Svids, words: str) -> bool:
    failure = svids.holding().failure
    return failure is not None and words in failure.reason


async def test_an_agent_that_is_killed_leaves_the_certificate_and_gives_the_next_when_it_is_back(place: Path):
    async with spire(place) as home, listening(home) as svids:
        await home.allow(str(CLIENT), *SHORT)
        held = await svids.first()
        await home.kill("agent")
        await eventually(lambda: _reason(svids, "agent.sock"))
        assert svids.held.value == held
        await home.run("agent")
        await eventually(holds(svids, lambda each: each.held.value.serial != held.serial))
        assert svids.holding().failure is None


async def test_an_entry_that_is_deleted_leaves_the_certificate_to_its_end_and_says_why(place: Path):
    async with spire(place) as home, listening(home) as svids:
        entry = await home.allow(str(CLIENT))
        held = await svids.first()
        await home.told("entry", "delete", "-entryID", entry)
        await eventually(lambda: _reason(svids, "no identity issued"))
        assert svids.held.value == held
        await home.allow(str(CLIENT))
        await eventually(holds(svids, lambda each: each.holding().failure is None))


class Calls:
    """Requests one after the other, each on a connection of its own, and how they were answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: Counter[int] = Counter()

    async def run(self) -> None:
        while True:
            self.answers[(await fetch("GET", self._port, "/")).status] += 1
            await asyncio.sleep(0.02)

    async def go_on(self, times: int = 20) -> None:
        """Return after that many more."""
        until = self.answers.total() + times

        async def enough() -> bool:
            return self.answers.total() >= until

        await eventually(enough)


async def renewed(home: Spire, before: str) -> bool:
    """Whether SPIRE's agent has another certificate of its own."""
    return await home.node() != before


async def hello(_: Request) -> Response:
    return Response(body=b"hello")


@asynccontextmanager
async def envoys(
    place: Path, homes: tuple[Spire, Spire], names: tuple[SpiffeId, SpiffeId]
) -> AsyncIterator[tuple[int, Svids, Svids]]:
    """The port of a client's Envoy that calls a server's Envoy in mutual TLS, and what both hold."""
    application, into, client_in, *admins = free_ports(5)
    client, server = names
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(supervise(HttpServer("127.0.0.1", application, hello).run()))
        held = []
        for name, home, own, (listen, to), peer, admin in (
            ("server", homes[1], server, (into, application), client, admins[0]),
            ("client", homes[0], client, (client_in, into), server, admins[1]),
        ):
            folder = place / name
            config = proxy_config(
                admin,
                listen,
                to,
                folder / "sds.sock",
                client=name == "client",
                api="DELTA_GRPC",
                peer=str(peer),
            )
            held.append(await stack.enter_async_context(svid_envoy(folder, own, home.socket, config, admin)))
        yield client_in, held[1], held[0]


async def test_no_call_is_lost_while_certificates_and_roots_change_and_spire_comes_and_goes(place: Path):
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(spire(place / "s"))
        for each in (CLIENT, SERVER):
            await home.allow(str(each), *SHORT)
        port, *both = await stack.enter_async_context(envoys(place, (home, home), (CLIENT, SERVER)))

        async def answered() -> bool:
            return (await fetch("GET", port, "/")).status == 200

        await eventually(answered)
        calls = Calls(port)
        await stack.enter_async_context(supervise(calls.run()))
        serials = [each.held.value.serial for each in both]
        for each, serial in zip(both, serials, strict=True):
            await eventually(holds(each, lambda found, was=serial: found.held.value.serial != was))
        await calls.go_on()

        old = (await home.json("localauthority", "x509", "show"))["active"]["authority_id"]
        new = (await home.json("localauthority", "x509", "prepare"))["prepared_authority"]["authority_id"]
        for each in both:
            await eventually(holds(each, lambda found: len(x509.load_bundle(found.held.value.roots)) == 2))
        await home.told("localauthority", "x509", "activate", "-authorityID", new)
        issuers, node = [each.held.value.issuer for each in both], await home.node()
        await home.told("localauthority", "x509", "taint", "-authorityID", old)
        for each, was in zip(both, issuers, strict=True):
            await eventually(holds(each, lambda found, was=was: found.held.value.issuer != was))
        await calls.go_on()
        # SPIRE's agent is somebody too: with a certificate of the old root its server would not know it any more.
        await eventually(lambda: renewed(home, node))
        await home.told("localauthority", "x509", "revoke", "-authorityID", old)
        for each in both:
            await eventually(holds(each, lambda found: len(x509.load_bundle(found.held.value.roots)) == 1))
        await calls.go_on()

        for name in ("agent", "server"):
            await home.kill(name)
            await calls.go_on()
            await home.run(name)
        serials = [each.held.value.serial for each in both]
        for each, serial in zip(both, serials, strict=True):
            await eventually(holds(each, lambda found, was=serial: found.held.value.serial != was))
        await calls.go_on()
        assert calls.answers.keys() == {200}, calls.answers


async def test_two_trust_domains_of_spire_call_each_other_once_they_federate(place: Path):
    far = SpiffeId("partner.example", "default", "server")
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(spire(place / name, domain))
            for name, domain in (("a", CLIENT.trust_domain), ("b", far.trust_domain))
        ]
        entries = await ours.allow(str(CLIENT)), await theirs.allow(str(far))
        port, *both = await stack.enter_async_context(envoys(place, (ours, theirs), (CLIENT, far)))

        async def answers(status: int) -> bool:
            return (await fetch("GET", port, "/")).status == status

        await eventually(lambda: answers(503))
        for home, other in ((ours, theirs), (theirs, ours)):
            bundle = place / f"{other.trust_domain}.json"
            bundle.write_text(await other.told("bundle", "show", "-format", "spiffe"))
            domain = f"spiffe://{other.trust_domain}"
            await home.told("bundle", "set", "-format", "spiffe", "-id", domain, "-path", str(bundle))
        for home, entry, own, other in zip(
            (ours, theirs), entries, (CLIENT, far), (theirs, ours), strict=True
        ):
            await home.told("entry", "delete", "-entryID", entry)
            await home.allow(str(own), "-federatesWith", f"spiffe://{other.trust_domain}")
        await eventually(lambda: answers(200), 60)
        assert [tuple(name for name, _ in each.held.value.federated) for each in both] == [
            (far.trust_domain,),
            (CLIENT.trust_domain,),
        ]
