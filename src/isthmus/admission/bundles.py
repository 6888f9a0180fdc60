"""Keeps true by which roots API servers believe the webhooks: `caBundle` in their configurations.

One of all that serve writes, by a Lease, and against what is there (RFC 6902 `test`), so nobody's change is lost.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from binascii import Error
from contextlib import suppress
from typing import Any

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.metrics import BUNDLE_WRITES
from isthmus.kit.scopes import admission as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope, path_of
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch

Json = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_JSON_PATCH = "application/json-patch+json"
_LOOK_AGAIN_S = 60.0


class _ClientConfig(msgspec.Struct, frozen=True, rename="camel"):
    ca_bundle: str | None = None


class _Webhook(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    client_config: _ClientConfig = _ClientConfig()
    failure_policy: str = ""


class WebhookConfiguration(Object, frozen=True, kw_only=True):
    """What of such an object is looked at here."""

    webhooks: tuple[_Webhook, ...] = ()


def _kind(name: str, plural: str) -> Kind:
    return Kind(_GROUP, ("v1",), name, plural, WebhookConfiguration, namespaced=False)


MUTATING = _kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
VALIDATING = _kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations")


class Belief:
    """What API servers are to believe, in PEM, and by which roots (fingerprints) all webhooks believe now."""

    def __init__(self) -> None:
        self.wanted: Watchable[bytes] = Watchable(b"")
        self.seen: Watchable[frozenset[str] | None] = Watchable(None)
        """None where there are no webhooks."""

    async def until(self, root: str) -> None:
        """Return once webhooks believe what is of `root`, or there are none."""
        async for seen in self.seen.changes():
            if seen is None or root in seen:
                return


class Bundles:
    """The configurations with these names."""

    def __init__(
        self, client: Client, names: tuple[tuple[Kind, str], ...], belief: Belief, held: Watchable[bool]
    ) -> None:
        """`held`: whether it is for us to write."""
        self._client, self._names, self._belief, self._held = client, names, belief, held
        self._look = asyncio.Event()
        self._found: dict[Ref, list[frozenset[str]]] = {}

    async def run(self) -> None:
        """Keep them true until cancelled; what fails is tried again."""
        async with asyncio.TaskGroup() as group:
            for kind, name in self._names:
                watch = Watch(self._client, kind, Scope(fields=f"metadata.name={name}"))
                group.create_task(Informer(kind, watch, self._seen).run())
            group.create_task(self._notice(self._belief.wanted))
            group.create_task(self._notice(self._held))
            group.create_task(self._keep())

    def _seen(self, ref: Ref, found: Object | InvalidConfig | None) -> None:
        self._found.pop(ref, None)
        if isinstance(found, WebhookConfiguration):
            self._found[ref] = [_roots(_decoded(each.client_config.ca_bundle)) for each in found.webhooks]
        each_sees = [roots for one in self._found.values() for roots in one]
        self._belief.seen.set(frozenset.intersection(*each_sees) if each_sees else None)
        self._look.set()

    async def _notice(self, source: Watchable[Any]) -> None:
        async for _ in source.changes():
            self._look.set()

    async def _keep(self) -> None:
        backoff = Backoff(limit_s=30.0)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._look.wait()
            self._look.clear()
            if not self._held.value or not self._belief.wanted.value:
                continue
            try:
                for kind, name in self._names:
                    await self._keep_one(kind, name)
                backoff.reset()
            except KubeError as error:
                BUNDLE_WRITES.labels(outcome="failed").inc()
                log.warning("webhook roots not written", error=str(error))
                await asyncio.sleep(backoff.next_s())
                self._look.set()

    async def _keep_one(self, kind: Kind, name: str) -> None:
        """Write where it is needed. Raises `KubeError`, also where somebody else wrote meanwhile."""
        try:
            found = await self._client.get(kind, "", name)
        except NotFound:
            return  # not installed; once it is, we hear of it
        patch = bundle_patch(found, self._belief.wanted.value)
        if patch:
            path = path_of(kind, "", name)
            await self._client.request("PATCH", path, body=patch, content_type=_JSON_PATCH)
            BUNDLE_WRITES.labels(outcome="written").inc()
            log.info("webhook roots written", object=f"{kind.name} {name}", webhooks=len(patch) // 2)


def bundle_patch(configuration: Json, bundle: bytes) -> list[Json]:
    """What makes every webhook in `configuration` believe `bundle`; nothing where all of them do."""
    wanted = _roots(bundle)
    patch: list[Json] = []
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        if _roots(_decoded((webhook.get("clientConfig") or {}).get("caBundle"))) != wanted:
            at = f"/webhooks/{index}"
            patch += [
                {"op": "test", "path": f"{at}/name", "value": webhook.get("name")},
                {"op": "add", "path": f"{at}/clientConfig/caBundle", "value": b64encode(bundle).decode()},
            ]
    if not patch:
        return []
    version = configuration["metadata"].get("resourceVersion")
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *patch]


def _decoded(bundle: object) -> bytes:
    try:
        return b64decode(str(bundle or ""), validate=True)
    except (Error, ValueError):
        return b""


def _roots(pem: bytes) -> frozenset[str]:
    """By their fingerprints: how they are written does not matter."""
    try:
        return frozenset(x509.fingerprint(each) for each in x509.load_bundle(pem))
    except x509.InvalidPem:
        return frozenset()
