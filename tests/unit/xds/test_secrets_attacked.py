"""Secrets that are wrong, or somebody else's: nothing is lost, nothing refused, and no key is seen anywhere."""

from __future__ import annotations

import asyncio
import base64

import pytest

from fakes.bookinfo import objects
from fakes.credentials import PKI, encoded, tls_secret
from fakes.edge import GKE, INGRESS, Pilot, https, tls_gateway
from fakes.manifests import made, put
from fakes.pki import Shown
from fakes.ports import free_ports
from fakes.translation import Translation
from isthmus.envoy.types import Secret
from isthmus.kit.polling import until
from isthmus.translate.types import SECRET
from isthmus.xds.status import State, config_dump, proxies
from unit.xds.test_secrets_in_envoy import comes, serial

pytestmark = pytest.mark.usefixtures("wire")

GOOD, OTHER = (PKI.leaf(dns=("a.example.com",)) for _ in range(2))
NAME = "kubernetes://a"


def of_type(kind, **data):
    return made("Secret", "a", "istio-system", data=encoded(data), type=kind)


def lines(pem):
    return pem.splitlines(keepends=True)


ATTACKS = {
    "the key of another certificate": tls_secret("a", Shown(GOOD.certificate, OTHER.key)),
    "certificate and key exchanged": tls_secret("a", Shown(OTHER.key, OTHER.certificate)),
    "a certificate cut short": tls_secret("a", Shown(OTHER.certificate[:300], OTHER.key)),
    "a certificate without its end": tls_secret(
        "a", Shown(b"".join(lines(OTHER.certificate)[:-1]), OTHER.key)
    ),
    "a key cut short": tls_secret("a", Shown(OTHER.certificate, OTHER.key[:120])),
    "a key with a line too few": tls_secret(
        "a", Shown(OTHER.certificate, b"".join(lines(OTHER.key)[:1] + lines(OTHER.key)[2:]))
    ),
    "a key with rubbish before it": tls_secret(
        "a", Shown(OTHER.certificate, b"\x00\xff" * 99 + OTHER.key[:40])
    ),
    "a chain that is cut short": tls_secret(
        "a", Shown(OTHER.certificate * 2 + OTHER.certificate[:99], OTHER.key)
    ),
    "nothing but zeros": tls_secret("a", Shown(bytes(1000), bytes(1000))),
    "a megabyte of nothing": tls_secret("a", Shown(b"x" * 1_000_000, OTHER.key)),
    "a key that is encrypted": tls_secret(
        "a", Shown(OTHER.certificate, OTHER.key.replace(b"BEGIN PRIVATE", b"BEGIN ENCRYPTED PRIVATE"))
    ),
    "no base64": made("Secret", "a", "istio-system", data={"tls.crt": "%%%", "tls.key": "=" * 7}),
    "a key alone": of_type("kubernetes.io/tls", **{"tls.key": OTHER.key}),
    "another type with nothing for us": of_type("Opaque", password=OTHER.key),
    "a pull secret": of_type("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": OTHER.key}),
}


def secrets_of(*keys):
    """All forms in which a key could be seen, line by line."""
    for key in keys:
        for line in lines(key)[1:-1]:
            yield line.strip().decode()
        yield base64.b64encode(key).decode()[40:80]


async def test_whatever_becomes_of_a_secret_envoy_shows_the_last_good_one_and_nobody_a_key(tmp_path, capfd):
    pilot, (port,) = Pilot(), free_ports(1)
    server = https("a.example.com", "mode: SIMPLE, credentialName: a", port, "127.0.0.1")
    pilot.step(*objects(gke=[tls_gateway("edge", server)]), put(GKE, tls_secret("a", GOOD)))
    said = []
    async with pilot.envoy(tmp_path) as running:
        assert await comes(port, "a.example.com", serial(GOOD))
        for name, attack in ATTACKS.items():
            pilot.step(put(GKE, attack))
            async with asyncio.timeout(10):
                await until(lambda: bool(pilot.findings))
            assert pilot.findings, name
            said += map(str, pilot.findings)
        assert await comes(port, "a.example.com", serial(GOOD))
        states = {each.name: each.state for status in proxies(pilot.fanout) for each in status.types}
        assert State.REJECTED not in states.values()
        said.append(await running.get("/config_dump?include_eds"))
        said.append(repr([*config_dump(pilot.fanout, *pilot.fanout.sessions)]))
        pilot.step(put(GKE, tls_secret("a", OTHER)))
        assert await comes(port, "a.example.com", serial(OTHER)), "a good one is taken at once"
    said.append("".join(capfd.readouterr()))
    said.append((tmp_path / "envoy.log").read_text())
    assert len(said) > len(ATTACKS)
    for text in said:
        assert not [line for line in secrets_of(GOOD.key, OTHER.key) if line in text]


def test_a_large_bundle_of_cas_is_taken():
    mesh = Translation(
        *objects(gke=[tls_gateway("edge", https("*", "mode: MUTUAL, credentialName: a"))]),
        put(GKE, tls_secret("a", GOOD, **{"ca.crt": PKI.roots * 1000})),
    )
    (roots,) = mesh.now.resources(INGRESS, SECRET, frozenset({f"{NAME}-cacert"}))
    assert len(Secret.FromString(roots.body).validation_context.trusted_ca.inline_bytes) > 500_000


@pytest.mark.parametrize(
    "credential", ["kubernetes://shop/a", "kubernetes-gateway://shop/a", "kubernetes://a/../shop/a"]
)
def test_a_gateway_is_sent_nothing_of_a_namespace_that_grants_it_nothing(credential):
    server = https("*", f'mode: MUTUAL, credentialName: "{credential}"')
    mesh = Translation(*objects(gke=[tls_gateway("edge", server)]))
    mesh.take(put(GKE, tls_secret("a", GOOD, "shop", **{"ca.crt": PKI.roots})))
    assert not list(mesh.now.resources(INGRESS, SECRET, None))
    asked = frozenset({credential, f"{credential}-cacert"})
    assert not list(mesh.now.resources(INGRESS, SECRET, asked))
    assert not mesh.now.unsettled(INGRESS, SECRET, asked)
    assert not mesh.followed, "what must not be sent is not even read"
