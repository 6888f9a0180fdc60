"""The real Envoy ends TLS with certificates that come over ADS, also late and also new ones."""

from __future__ import annotations

import asyncio
import ssl

import msgspec
import pytest

from fakes.bookinfo import objects
from fakes.credentials import PKI, tls_secret
from fakes.edge import GKE, INGRESS, Pilot, https, tls_gateway
from fakes.manifests import gone, put
from fakes.ports import free_ports
from isthmus.kit import x509

pytestmark = pytest.mark.usefixtures("wire")


def gateway(port):
    """Two servers at one port of loopback."""
    servers = (
        https(f"{name}.example.com", f"mode: SIMPLE, credentialName: {name}", port, "127.0.0.1")
        for name in "ab"
    )
    return objects(gke=[tls_gateway("edge", *servers)])


async def shown(port: int, host: str) -> str:
    """The serial number of the certificate that is shown for a host; empty where the connection ends without one."""
    context = ssl.create_default_context(cadata=PKI.roots.decode())
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    except OSError:
        return ""
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.serial(x509.load_certificate(ssl.DER_cert_to_PEM_cert(found).encode()))


async def comes(port: int, host: str, serial: str) -> bool:
    for _ in range(100):
        if await shown(port, host) == serial:
            return True
        await asyncio.sleep(0.05)
    return False


def serial(certificate) -> str:
    return x509.serial(x509.load_certificate(certificate.certificate))


async def test_a_listener_opens_with_its_certificates_and_shows_new_ones(tmp_path):
    pilot, (port,) = Pilot(), free_ports(1)
    first, second, other = (PKI.leaf(dns=(f"{name}.example.com",)) for name in ("a", "a", "b"))
    pilot.step(*objects(gke=[]))
    async with pilot.envoy(tmp_path) as running:
        pilot.step(*gateway(port))
        await asyncio.sleep(0.5)
        assert await shown(port, "a.example.com") == "", "nobody knows yet whether there is one: it waits"
        pilot.step(put(GKE, tls_secret("a", first)), gone(GKE, tls_secret("b", other)))
        assert await comes(port, "a.example.com", serial(first)), await running.get("/config_dump")
        assert await shown(port, "b.example.com") == "", "one that is not there keeps nobody else waiting"
        pilot.step(put(GKE, tls_secret("b", other)))
        assert await comes(port, "b.example.com", serial(other))
        pilot.step(put(GKE, tls_secret("a", second)))
        assert await comes(port, "a.example.com", serial(second))
        pilot.step(gone(GKE, tls_secret("a", second)))
        await asyncio.sleep(0.3)
        assert await shown(port, "a.example.com") == serial(second), "the last good one stays"


async def test_a_proxy_that_is_proven_later_gets_its_certificates_then(tmp_path):
    pilot, (port,) = Pilot(msgspec.structs.replace(INGRESS, proven=False)), free_ports(1)
    first = PKI.leaf(dns=("a.example.com",))
    pilot.step(*gateway(port), put(GKE, tls_secret("a", first)))
    async with pilot.envoy(tmp_path):
        await asyncio.sleep(0.5)
        assert await shown(port, "a.example.com") == ""
        pilot.subject = INGRESS
        pilot.fanout.identify_again(lambda _: True)
        pilot.step(gone(GKE, tls_secret("b", first)))
        assert await comes(port, "a.example.com", serial(first))


async def stapled(port: int, host: str) -> str:
    """What a caller is told of the certificate's OCSP answer, in the words of openssl."""
    words = ("s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, "-status")
    pipes = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE}
    asked = await asyncio.create_subprocess_exec(
        "openssl", *words, **pipes, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await asyncio.wait_for(asked.communicate(), 20)
    return said.decode(errors="replace")


async def test_what_a_ca_says_of_a_certificate_is_shown_with_it(tmp_path):
    pilot, (port,) = Pilot(), free_ports(1)
    plain, picky = PKI.leaf(dns=("a.example.com",)), PKI.picky_leaf("b.example.com")
    pilot.step(*gateway(port), put(GKE, tls_secret("a", plain)))
    pilot.step(put(GKE, tls_secret("b", picky, **{"tls.ocsp-staple": PKI.staple(picky)})))
    async with pilot.envoy(tmp_path):
        assert await comes(port, "b.example.com", serial(picky))
        assert "OCSP Response Status: successful" in await stapled(port, "b.example.com")
        assert "no response sent" in await stapled(port, "a.example.com")
        pilot.step(put(GKE, tls_secret("b", picky)))
        assert any("callers ask for it" in each.message for each in pilot.findings)
        pilot.step(put(GKE, tls_secret("a", plain, **{"tls.ocsp-staple": PKI.staple(plain, -30)})))
        assert "no response sent" in await stapled(port, "a.example.com"), "Envoy shows none that has ended"
        assert await shown(port, "a.example.com") == serial(plain)
