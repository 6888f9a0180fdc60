"""Two meshes with different roots and trust domains, a real Envoy of each: who believes whom, and when."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes.citadel import LoopbackCitadel, loopback_citadel
from fakes.eventually import eventually
from fakes.mutual_pair import hello, proxy
from fakes.ports import free_ports
from fakes.tls_envoys import proxy_config
from isthmus.envoy.descriptors import message_class
from isthmus.envoy.types import Secret
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import HttpServer, fetch
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.model.trust_bundles import NAME, TrustBundle, Trusted, decode, written
from isthmus.sidecar.believed import Believed
from isthmus.sidecar.certs import Held

A, B = "a.example", "b.example"


def told(own: str, *bundles: tuple[str, bytes]) -> dict[str, bytes]:
    found = tuple(TrustBundle(name, roots.decode()) for name, roots in bundles)
    return {NAME: written(Trusted((own,), found))}


def test_roots_of_other_domains_are_for_these_alone_as_envoy_reads_it(tmp_path: Path) -> None:
    authorities = [LoopbackCitadel(tmp_path / name, SystemClock()).authority.value for name in "abc"]
    roots = [each.roots_pem for each in authorities]
    issued = authorities[0].sign(x509.new_csr(x509.new_key()), SpiffeId(A, "default", "client"), 600)
    held = Held(issued.pem, b"key", roots[0], issued.serial, 0.0, issued.end)
    believed = Believed()
    plain = Secret.FromString(believed.secret("ROOTCA", held))
    assert plain == Secret(name="ROOTCA", validation_context={"trusted_ca": {"inline_bytes": roots[0]}})
    believed.take(told(A))
    assert Secret.FromString(believed.secret("ROOTCA", held)) == plain
    two = tuple(TrustBundle(name, pem.decode()) for name, pem in ((A, roots[2]), (B, roots[1])))
    believed.take({NAME: written(Trusted((A, "alias.example"), two))})
    own = roots[0] + roots[2]
    assert by_domain(believed.secret("ROOTCA", held)) == {A: own, "alias.example": own, B: roots[1]}
    believed.take({NAME: written(Trusted(("moved.example",), two[1:]))})
    of_workload_api = held._replace(federated=(("c.example", roots[2]),))
    assert by_domain(believed.secret("ROOTCA", of_workload_api)) == {
        "moved.example": roots[0],
        A: roots[0],
        B: roots[1],
        "c.example": roots[2],
    }


def by_domain(body: bytes) -> dict[str, bytes]:
    context = Secret.FromString(body).validation_context
    spiffe = message_class("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig")
    config = spiffe.FromString(context.custom_validator_config.typed_config.value)
    return {each.name: each.trust_bundle.inline_bytes for each in config.trust_domains}


def test_what_is_no_bundle_is_refused_and_the_last_good_one_stays() -> None:
    believed = Believed()
    for body in (b"{", written(Trusted((A,), (TrustBundle(B, "no PEM"),)))):
        with pytest.raises(ValueError, match=r"not|PEM"):
            believed.take({NAME: body})
    assert believed.told.value == Trusted()
    assert decode(written(Trusted((A,)))) == Trusted((A,))


class Meshes(NamedTuple):
    """A workload of mesh A calls one of mesh B."""

    front: int
    caller: Believed
    called: Believed
    a: LoopbackCitadel
    b: LoopbackCitadel

    async def status(self) -> int:
        return (await fetch("GET", self.front, "/")).status

    async def becomes(self, wanted: int) -> None:
        async def so() -> bool:
            return await self.status() == wanted

        await eventually(so)


@pytest.fixture
def place():
    directory = tempfile.mkdtemp(prefix="isthmus-")
    yield Path(directory)
    shutil.rmtree(directory)


@asynccontextmanager
async def two_meshes(place: Path, caller_is: str = A) -> AsyncIterator[Meshes]:
    """`caller_is`: the trust domain that mesh A says it is."""
    front, middle, *admins = free_ports(4)
    application = HttpServer("127.0.0.1", 0, hello)
    caller, called = Believed(), Believed()
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(loopback_citadel(place / "ca-a", trust_domain=caller_is))
        b = await stack.enter_async_context(loopback_citadel(place / "ca-b", trust_domain=B))
        await stack.enter_async_context(supervise(application.run()))
        behind, places = await application.port(), (place / "s", place / "c")
        of_a, of_b = f"spiffe://{caller_is}/ns/default/sa/client", f"spiffe://{B}/ns/default/sa/server"
        sockets = [each / "sds.sock" for each in places]
        there = proxy_config(admins[0], middle, behind, sockets[0], client=False, api="GRPC", peer=of_a)
        here = proxy_config(admins[1], front, middle, sockets[1], client=True, api="GRPC", peer=of_b)
        await stack.enter_async_context(proxy(b, "server", places[0], there, admins[0], called))
        await stack.enter_async_context(proxy(a, "client", places[1], here, admins[1], caller))
        yield Meshes(front, caller, called, a, b)


@pytest.mark.lab
async def test_two_meshes_call_each_other_once_both_know_the_others_roots_and_not_before(place: Path) -> None:
    async with two_meshes(place) as meshes:
        roots_a, roots_b = (each.authority.value.roots_pem for each in (meshes.a, meshes.b))
        assert await meshes.status() == 503
        meshes.caller.take(told(A, (B, roots_b)))
        assert await meshes.status() == 503
        meshes.called.take(told(B, (A, roots_a)))
        await meshes.becomes(200)
        meshes.called.take(told(B))
        await meshes.becomes(503)
        meshes.called.take(told(B, (A, roots_a)))
        await meshes.becomes(200)
        meshes.caller.take(told(A, (B, roots_a)))  # not the roots by which the server is vouched for
        await meshes.becomes(503)


@pytest.mark.lab
async def test_a_root_of_one_domain_cannot_vouch_for_another(place: Path) -> None:
    """Mesh A signs for a name in B: B's own roots do not vouch for it, though B believes mesh A for A."""
    async with two_meshes(place, caller_is=B) as meshes:
        roots_a, roots_b = (each.authority.value.roots_pem for each in (meshes.a, meshes.b))
        meshes.caller.take(told(A, (B, roots_b)))
        meshes.called.take(told(B, (A, roots_a)))
        for _ in range(20):
            assert await meshes.status() == 503
        # Were both roots simply trusted, as one list, it would be let in.
        meshes.called.take(told(B, (B, roots_a)))
        await meshes.becomes(200)
