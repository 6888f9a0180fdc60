"""The CA of a cluster that joins: an intermediate under the mesh's root, made where its key is at hand."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.ca import founding, self_signed, store
from isthmus.ca.roots import CONFIG_MAP, KEY
from isthmus.console.ca_secret import CONFIG_MAPS, SECRETS, CaSecret
from isthmus.console.membership.exchanged_roots import ways
from isthmus.console.membership.mesh import Member, Primary
from isthmus.console.membership.told import CannotGoOn, Told, done, left
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kube.client import Client
from isthmus.kube.errors import NotFound

JOINED = "isthmus.io/made-by-join"
"""Label of the Secret `cacerts` that joining made, so that leaving takes away no other."""


async def share_root(member: Member, primary: Primary, directory: Path | None, *, dry: bool) -> Told:
    """Give the cluster a CA under the mesh's root, where it has none. Raises `KubeError`, `CannotGoOn`."""
    wanted = await _roots(primary.client, primary.namespace)
    files = await CaSecret(member.client, member.namespace).files()
    if files is None and await _has(member.client, member.namespace, self_signed.NAME):
        return _compared(member, primary, wanted, await _roots(member.client, member.namespace))
    if files is not None:
        held = x509.load_bundle(files.get(store.ROOT_CERT, b""))
        return _compared(member, primary, wanted, {x509.fingerprint(each) for each in held})
    made = _issued(member.name, directory) if directory else await _issued_by_citadel(member.name, primary)
    root = x509.load_bundle(made[store.ROOT_CERT])
    if wanted and not {x509.fingerprint(each) for each in root} & wanted:
        raise CannotGoOn(f"--ca: the root in {directory} is none of those that {primary.name} trusts")
    if not dry:
        await _write(member, made)
    seen = f"secret {store.SECRET}: a CA of its own under {x509.names(root[0]).common_name}"
    return done("root", member.name, seen, dry=dry)


def _compared(member: Member, primary: Primary, wanted: set[str], held: set[str]) -> Told:
    if not wanted or not held or wanted & held:
        return done("root", member.name, "it has a CA, and the mesh's root", changed=False)
    seen = "its CA is of another root than the mesh: workloads of either do not believe the other's"
    return left("root", member.name, seen, ways(member, primary))


async def _roots(client: Client, namespace: str) -> set[str]:
    """The SHA-256 of each root that workloads of a cluster believe."""
    try:
        found = msgspec.convert(await client.get(CONFIG_MAPS, namespace, CONFIG_MAP), ConfigMap)
    except NotFound:
        return set()
    return {x509.fingerprint(each) for each in x509.load_bundle(found.data.get(KEY, "").encode())}


async def _has(client: Client, namespace: str, secret: str) -> bool:
    try:
        await client.get(SECRETS, namespace, secret)
    except NotFound:
        return False
    return True


def _issued(cluster: str, directory: Path) -> Mapping[str, bytes]:
    """By the root in a directory, as `isthmus ca init` made it; files for the cluster that are there are taken."""
    place = directory / cluster
    if not (place / store.CA_CERT).exists():
        try:
            founding.found_intermediate(directory, founding.Founding(clusters=(cluster,)))
        except founding.CannotFound as error:
            raise CannotGoOn(str(error)) from error
    return {name: (place / name).read_bytes() for name in store.FILES}


async def _issued_by_citadel(cluster: str, primary: Primary) -> Mapping[str, bytes]:
    """By the root that the primary's Citadel made for itself. Its key is on this machine's disk for the moment."""
    found = await _key(primary)
    kept = self_signed.material(found.data, SystemClock().now())
    with TemporaryDirectory() as folder:
        founding.write_root(Path(folder), x509.Issuer(kept.chain[0], kept.key))
        return _issued(cluster, Path(folder))


async def check_key(primary: Primary) -> None:
    """Raises `CannotGoOn` where Citadel of the primary has no root of its own to sign by, and `KubeError`."""
    await _key(primary)


async def _key(primary: Primary) -> Secret:
    try:
        found = await primary.client.get(SECRETS, primary.namespace, self_signed.NAME)
    except NotFound as error:
        hint = "hint: --ca DIRECTORY, in which isthmus ca init made the mesh's root"
        raise CannotGoOn(f"the key of the mesh's root is not in {primary.name} ({hint})") from error
    return msgspec.convert(found, Secret)


async def _write(member: Member, files: Mapping[str, bytes]) -> None:
    metadata = {"name": store.SECRET, "namespace": member.namespace, "labels": {JOINED: "true"}}
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
    await member.client.create(SECRETS, body)
