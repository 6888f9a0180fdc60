"""What Pilot is given to read a cluster: a token of the reader account there, good as long as one Secret exists.

The Secret is how a credential can be taken back: whoever deletes it ends the token, and all that Pilot renewed from it.
Source: Kubernetes, "Managing Service Accounts" (bound and long-lived tokens).
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.console.reader_account import READER
from isthmus.kit import duration
from isthmus.kit.redacted import Redacted
from isthmus.kube.account_token import ACCOUNTS, AccountToken, Bond, request_token
from isthmus.kube.client import Client, Json, Scope
from isthmus.kube.errors import NotFound

ACCESS = "isthmus.io/reader-access"
"""Label of the Secrets that credentials are bound to; its value is the cluster's name in the mesh."""
PILOTS = "isthmus.io/given-to"
"""Annotation of such a Secret: the clusters whose Pilots have the credential."""

_SECRETS = Kind("", ("v1",), "Secret", "secrets", Object)
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", Object)
_ROOTS = "kube-root-ca.crt"
"""The ConfigMap that each namespace has, by which its pods believe the API server."""
_EARLIER = f"{READER}-token"
"""As earlier releases installed it."""
_LOOK_S, _LOOKS = 0.25, 40
_LONG_LIVED = "kubernetes.io/service-account-token"


class NoReader(Exception):
    """There is no credential to be had; says why, and how to mend it."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry of the registry needs of a cluster besides its address."""

    token: Redacted
    ca: bytes | None  # PEM; None: the system's roots
    secret: str  # to which it is bound
    ends: float | None = None  # seconds of the epoch; None: never


class ReaderAccess:
    """The credentials of the reader account in one cluster, which the mesh calls `cluster`."""

    def __init__(self, client: Client, namespace: str, cluster: str, account: str = READER) -> None:
        self._client, self._namespace = client, namespace
        self._cluster, self._account = cluster, account

    async def give(self, life_s: float | None, *, anew: bool = False, to: tuple[str, ...] = ()) -> Credential:
        """A credential that lives so long; None: until it is taken back. Raises `NoReader`, `KubeError`.

        With `anew` it is bound to a Secret of its own, so that all others can be taken back. `to`: whose Pilots get it.
        """
        try:
            await self._client.get(ACCOUNTS, self._namespace, self._account)
        except NotFound as error:
            hint = "hint: isthmus install primary|remote --cluster NAME | kubectl apply -f -"
            where = f"{self._client.access.server} has no account {self._namespace}/{self._account}"
            raise NoReader(f"{where} ({hint})") from error
        secret = None if anew else await self._current(is_long=life_s is None)
        secret = secret or await self._make(is_long=life_s is None)
        await self._note(secret, to)
        return await (self._long(secret) if life_s is None else self._short(secret, life_s))

    async def of_secret(self, name: str) -> Credential:
        """That which a Secret of the account holds, without an end. Raises `NoReader`, `KubeError`."""
        secret = await self._find(name)
        if secret is None:
            raise NoReader(f"there is no secret {self._namespace}/{name} (hint: kubectl get secrets -n …)")
        return await self._long(secret)

    async def secrets(self) -> tuple[Json, ...]:
        """The Secrets that credentials of the cluster are bound to, the newest first. Raises `KubeError`."""
        listing = await self._client.list_all(
            _SECRETS, Scope(self._namespace, labels=f"{ACCESS}={self._cluster}")
        )
        found: list[Json] = [msgspec.json.decode(item) for item in listing.items]
        if self._account == READER and (earlier := await self._find(_EARLIER)):
            found.append(earlier)
        return tuple(sorted(found, key=_age, reverse=True))

    async def other_names(self, pilot: str) -> tuple[str, ...]:
        """By which other names the Pilots of a cluster were given credentials of this one. Raises `KubeError`."""
        listing = await self._client.list_all(_SECRETS, Scope(self._namespace, labels=ACCESS))
        found = [msgspec.json.decode(item) for item in listing.items]
        names = {each["metadata"]["labels"][ACCESS] for each in found if pilot in given_to(each)}
        return tuple(sorted(names - {self._cluster}))

    async def take_back(self, *, all_but: str = "") -> tuple[str, ...]:
        """End all credentials but those bound to this Secret; returns the others' Secrets. Raises `KubeError`."""
        ended = []
        for each in await self.secrets():
            name = str(each["metadata"]["name"])
            if name != all_but:
                try:
                    await self._client.delete(_SECRETS, self._namespace, name)
                except NotFound:
                    continue
                ended.append(name)
        return tuple(ended)

    async def _current(self, *, is_long: bool) -> Json | None:
        found = (each for each in await self.secrets() if (each.get("type") == _LONG_LIVED) is is_long)
        return next((each for each in found if ACCESS in (each["metadata"].get("labels") or {})), None)

    async def _make(self, *, is_long: bool) -> Json:
        metadata: dict[str, Any] = {
            "generateName": "istio-reader-access-",
            "namespace": self._namespace,
            "labels": {ACCESS: self._cluster},
        }
        if is_long:
            metadata["annotations"] = {"kubernetes.io/service-account.name": self._account}
        kind = _LONG_LIVED if is_long else "Opaque"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind}
        return await self._client.create(_SECRETS, body)

    async def _note(self, secret: Json, to: tuple[str, ...]) -> None:
        before = given_to(secret)
        if to and not set(to) <= before:
            patch = {"metadata": {"annotations": {PILOTS: ",".join(sorted(before | set(to)))}}}
            await self._client.merge(_SECRETS, self._namespace, secret["metadata"]["name"], patch)

    async def _short(self, secret: Json, life_s: float) -> Credential:
        meta = secret["metadata"]
        who = AccountToken(namespace=self._namespace, account=self._account)
        given = await request_token(self._client, who, life_s, Bond("Secret", meta["name"], meta["uid"]))
        return Credential(token=given.token, ca=await self.roots(), secret=meta["name"], ends=given.end)

    async def _long(self, secret: Json) -> Credential:
        name = str(secret["metadata"]["name"])
        for _ in range(_LOOKS):
            data = (await self._client.get(_SECRETS, self._namespace, name)).get("data") or {}
            if data.get("token") and data.get("ca.crt"):
                token = base64.b64decode(data["token"]).decode()
                return Credential(token=Redacted(token), ca=base64.b64decode(data["ca.crt"]), secret=name)
            await asyncio.sleep(_LOOK_S)
        waited = duration.show(_LOOKS * _LOOK_S)
        hint = "hint: does its kube-controller-manager run? a token that ends needs none: --life 24h"
        raise NoReader(f"secret {self._namespace}/{name} holds no token after {waited} ({hint})")

    async def roots(self) -> bytes | None:
        """By what pods believe the API server; else by what we do."""
        try:
            found = await self._client.get(_CONFIG_MAPS, self._namespace, _ROOTS)
            return str(found["data"]["ca.crt"]).encode()
        except (NotFound, KeyError):
            return self._client.access.ca

    async def _find(self, name: str) -> Json | None:
        try:
            return await self._client.get(_SECRETS, self._namespace, name)
        except NotFound:
            return None


def given_to(*secrets: Json) -> set[str]:
    """The clusters whose Pilots have a credential that is bound to one of the Secrets."""
    said = ((each["metadata"].get("annotations") or {}).get(PILOTS, "") for each in secrets)
    return {name for text in said for name in text.split(",") if name}


def _age(secret: Json) -> str:
    return str(secret["metadata"].get("creationTimestamp", ""))
