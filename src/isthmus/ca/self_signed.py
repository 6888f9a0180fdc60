"""A root of our own, where the operator plugs none in: made once, and kept in a Secret as Istio keeps it.

Secret `istio-ca-secret`, type `istio.io/ca-root`, with `ca-cert.pem` and `ca-key.pem`. Of several Citadels that
start at once the API server lets one make it, and the others take what it made.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.resource import Kind
from isthmus.ca import store
from isthmus.ca.roots import CONFIG_MAP, KEY
from isthmus.ca.store import CA_CERT, CA_KEY, ROOT_CERT, InvalidStore, Material
from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.scopes import ca as log
from isthmus.kube.client import Client
from isthmus.kube.errors import Conflict, NotFound, Unreachable

NAME = "istio-ca-secret"
TYPE = "istio.io/ca-root"
SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)
_MANAGED = {"app.kubernetes.io/managed-by": "isthmus"}


class SelfSigned(msgspec.Struct, frozen=True, kw_only=True):
    """The choices for a root that Citadel makes for itself."""

    namespace: str = "istio-system"
    organisation: str = "Isthmus"
    life_s: float = 10 * 365 * 86_400.0
    key_kind: KeyKind = KeyKind.EC_P256


class AnotherRoot(Exception):
    """No root was made, since workloads of the cluster trust another one already."""


async def kept_root(client: Client, choices: SelfSigned, clock: Clock) -> Material:
    """The root in the Secret, made where there is none; waits for an API server that does not answer.

    Raises `InvalidStore` where the Secret holds no CA, `AnotherRoot`, and `Refused` where we may not.
    """
    backoff = Backoff()
    while True:
        try:
            return await _kept_or_made(client, choices, clock)
        except Unreachable as error:
            log.warning("root not read yet", secret=NAME, reason=str(error))
            await clock.sleep(backoff.next_s())


def material(data: Mapping[str, str], now: float) -> Material:
    """The root in the Secret's `data`. Raises `InvalidStore`."""
    try:
        files = {
            name: base64.b64decode(data[name], validate=True) for name in (CA_CERT, CA_KEY) if name in data
        }
    except ValueError as error:
        raise InvalidStore(
            CA_CERT, "is not base64", "delete the Secret to have a new root made", NAME
        ) from error
    try:
        return store.verify(files | {ROOT_CERT: files.get(CA_CERT, b"")}, now)
    except InvalidStore as error:
        raise InvalidStore(error.file, error.what, error.hint, NAME) from error


async def _kept_or_made(client: Client, choices: SelfSigned, clock: Clock) -> Material:
    try:
        return await _kept(client, choices, clock)
    except NotFound:
        await _must_be_first(client, choices)
    try:
        await client.create(SECRETS, _new_root(choices, clock.now()))
    except Conflict:
        log.info("root made by another Citadel", secret=NAME, namespace=choices.namespace)
    else:
        log.info("root made", secret=NAME, namespace=choices.namespace)
    return await _kept(client, choices, clock)


async def _kept(client: Client, choices: SelfSigned, clock: Clock) -> Material:
    found = msgspec.convert(await client.get(SECRETS, choices.namespace, NAME), Secret)
    return material(found.data, clock.now())


async def _must_be_first(client: Client, choices: SelfSigned) -> None:
    """Raise `AnotherRoot` where workloads trust one: a Secret that was lost must not split the mesh in silence."""
    try:
        found = msgspec.convert(await client.get(_CONFIG_MAPS, choices.namespace, CONFIG_MAP), ConfigMap)
    except NotFound:
        return
    if found.data.get(KEY, "").strip():
        place = f"{choices.namespace}/{CONFIG_MAP}"
        raise AnotherRoot(
            f"no root was made: workloads of this cluster trust the one in ConfigMap {place}, and its key is neither "
            f"in Secret {store.SECRET} nor in {NAME} (hint: bring the Secret back; to begin with a new root, which "
            "ends all calls until workloads have it, delete the ConfigMap)"
        )


def _new_root(choices: SelfSigned, now: float) -> dict[str, object]:
    key = x509.new_key(choices.key_kind)
    certificate = x509.root(key, f"{choices.organisation} Root CA", x509.Life.at(now, choices.life_s))
    content = {CA_CERT: x509.bundle_pem([certificate]), CA_KEY: x509.key_pem(key)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": choices.namespace, "labels": _MANAGED},
        "type": TYPE,
        "data": {name: base64.b64encode(pem).decode() for name, pem in content.items()},
    }
