"""The roots of a mesh, as others are given them, and those of others that it believes: a ConfigMap beside Pilot."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.ca.roots import CONFIG_MAP, KEY
from isthmus.console.ca_clusters import citadels
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.kit import spiffe_bundle, x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.model import trust_bundles
from isthmus.model.identity import is_trust_domain


class CannotExchange(Exception):
    """Not done, and why."""


class OwnBundle(NamedTuple):
    """What vouches for a mesh: its trust domain, and a SPIFFE bundle."""

    trust_domain: str
    text: str

    @property
    def prints(self) -> set[str]:
        return roots_in(self.text)


def roots_in(text: str) -> set[str]:
    """The SHA-256 of each root in a bundle. Raises `InvalidBundle`."""
    return {x509.fingerprint(each) for each in x509.load_bundle(spiffe_bundle.read(text).roots)}


class Mesh:
    """A mesh by the cluster of its configuration."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def own(self) -> OwnBundle:
        """Its own bundle, of what its workloads trust. Raises `KubeError`, `CannotExchange`."""
        said = await citadels(self._client, self._namespace)
        domain = next((each.trust_domain for each in said.values() if each), "")
        if not domain:
            raise CannotExchange(f"no Citadel of {self._client.access.server} says what its trust domain is")
        found = await self._read(CONFIG_MAP)
        roots = x509.load_bundle(found.data.get(KEY, "").encode()) if found is not None else ()
        if not roots:
            raise CannotExchange(f"{self._client.access.server} has no roots in ConfigMap {CONFIG_MAP}")
        return OwnBundle(domain, spiffe_bundle.written(roots))

    async def others(self) -> dict[str, str]:
        """The bundles of others that it believes, by trust domain. Raises `KubeError`."""
        found = await self._read(trust_bundles.CONFIG_MAP)
        return dict(found.data) if found is not None else {}

    async def believe(self, trust_domain: str, text: str) -> None:
        """Believe by this bundle. Raises `InvalidBundle`, `CannotExchange`, `KubeError`."""
        roots = spiffe_bundle.read(text).roots
        if not is_trust_domain(trust_domain):
            raise CannotExchange(f"{trust_domain!r} is no trust domain (hint: like b.example)")
        if (await self.own()).trust_domain == trust_domain:
            raise CannotExchange(
                f"{trust_domain} is the mesh's own trust domain, for which Citadel's roots vouch alone "
                "(hint: meshes that are to believe each other need trust domains of their own)"
            )
        spiffe_bundle.must_be_of(trust_domain, roots)
        spiffe_bundle.must_not_have_ended(roots, SystemClock().now())
        await self._change({trust_domain: text})

    async def forget(self, trust_domain: str) -> None:
        """Believe nobody of the domain any more. Raises `CannotExchange`, `KubeError`."""
        if trust_domain not in await self.others():
            raise CannotExchange(f"no bundle of {trust_domain} is there (hint: isthmus trust list)")
        await self._change({trust_domain: None})

    async def _change(self, data: dict[str, str | None]) -> None:
        metadata = {"name": trust_bundles.CONFIG_MAP, "namespace": self._namespace}
        if await self._read(trust_bundles.CONFIG_MAP) is not None:
            await self._client.merge(CONFIG_MAPS, self._namespace, trust_bundles.CONFIG_MAP, {"data": data})
            return
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        await self._client.create(CONFIG_MAPS, body)

    async def _read(self, name: str) -> ConfigMap | None:
        try:
            found = await self._client.get(CONFIG_MAPS, self._namespace, name)
        except NotFound:
            return None
        try:
            return msgspec.convert(found, ConfigMap)
        except UNREADABLE as error:
            raise KubeError(f"configmap {self._namespace}/{name}: {error}") from error


async def may_exchange(one: Mesh, other: Mesh) -> tuple[OwnBundle, OwnBundle]:
    """The bundles by which both may believe each other. Raises `CannotExchange` where they cannot, `KubeError`."""
    bundles = await one.own(), await other.own()
    if bundles[0].trust_domain == bundles[1].trust_domain:
        raise CannotExchange(
            f"both meshes are of trust domain {bundles[0].trust_domain} "
            "(hint: give one of them another: isthmus install primary --trust-domain)"
        )
    if bundles[0].prints & bundles[1].prints:
        raise CannotExchange(
            "both meshes trust the same root, which would vouch for either in the name of the other "
            "(hint: give one of them a root of its own: isthmus ca rotate)"
        )
    return bundles


async def exchange(one: Mesh, other: Mesh) -> tuple[OwnBundle, OwnBundle]:
    """Have both believe each other. Raises `CannotExchange`, `KubeError`; nothing is written where they cannot."""
    bundles = await may_exchange(one, other)
    await one.believe(*bundles[1])
    await other.believe(*bundles[0])
    return bundles


async def revoke(one: Mesh, other: Mesh) -> tuple[str, ...]:
    """Have both forget each other; returns whom. Raises `CannotExchange` where neither believed the other."""
    domains = (await one.own()).trust_domain, (await other.own()).trust_domain
    forgotten = []
    for mesh, domain in ((one, domains[1]), (other, domains[0])):
        if domain in await mesh.others():
            await mesh.forget(domain)
            forgotten.append(domain)
    if not forgotten:
        raise CannotExchange(f"neither {domains[0]} nor {domains[1]} believes the other")
    return tuple(forgotten)
