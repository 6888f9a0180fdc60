"""Keeps true by which roots API servers believe the webhooks: `caBundle` in their configurations.

One of all that serve writes, by a Lease, and against what is there (RFC 6902 `test`), so nobody's change is lost.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.metrics import BUNDLE_WRITES
from isthmus.kit.scopes import admission as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope, path_of
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.revision import LABEL, TAG_LABEL, TAG_PREFIX

Json = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_JSON_PATCH = "application/json-patch+json"
_LOOK_AGAIN_S = 60.0
_TAG_HINT = " (hint: isthmus revision tag set TAG --revision REVISION --overwrite gives the right to it)"


class _Service(msgspec.Struct, frozen=True):
    namespace: str = ""


class _ClientConfig(msgspec.Struct, frozen=True, rename="camel"):
    ca_bundle: str | None = None
    service: _Service | None = None


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
_KINDS = {each.ref_kind: each for each in (MUTATING, VALIDATING)}


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


class Answered(NamedTuple):
    """The configurations whose webhooks we answer."""

    named: tuple[tuple[Kind, str], ...]
    """Our own, by kind and name."""
    revision: str
    namespace: str
    """Tags that stand for this revision of the control plane in this namespace, whatever they are called."""

    @property
    def followed(self) -> Iterator[tuple[Kind, Scope]]:
        """All of them, each kind twice: rights to read by label are wider, and may be lacking."""
        for kind, name in self.named:
            yield kind, Scope(fields=f"metadata.name={name}")
            yield kind, Scope(labels=f"{TAG_LABEL},{LABEL}={self.revision}")

    def has(self, found: WebhookConfiguration) -> bool:
        """Whether it is ours: a tag may be that of a control plane in another namespace."""
        called = {each.client_config.service for each in found.webhooks} - {None}
        places = {service.namespace for service in called if service is not None}
        return TAG_LABEL not in found.metadata.labels or places <= {self.namespace}


class Bundles:
    """The configurations that we answer."""

    def __init__(self, client: Client, answered: Answered, belief: Belief, held: Watchable[bool]) -> None:
        """`held`: whether it is for us to write."""
        self._client, self._answered, self._belief, self._held = client, answered, belief, held
        self._look = asyncio.Event()
        self._found: dict[Ref, list[frozenset[str]]] = {}
        self._troubles: dict[Ref, str] = {}

    async def run(self) -> None:
        """Keep them true until cancelled; what fails is tried again, and holds up no other."""
        async with asyncio.TaskGroup() as group:
            for kind, scope in self._answered.followed:
                group.create_task(Informer(kind, Watch(self._client, kind, scope), self._seen).run())
            group.create_task(self._notice(self._belief.wanted))
            group.create_task(self._notice(self._held))
            group.create_task(self._keep())

    def _seen(self, ref: Ref, found: Object | InvalidConfig | None) -> None:
        self._found.pop(ref, None)
        if found is None:
            self._troubles.pop(ref, None)
        if isinstance(found, WebhookConfiguration) and self._answered.has(found):
            self._found[ref] = [_roots(_decoded(each.client_config.ca_bundle)) for each in found.webhooks]
        each_sees = [roots for one in self._found.values() for roots in one]
        self._belief.seen.set(frozenset.intersection(*each_sees) if each_sees else None)
        self._look.set()

    async def _notice(self, source: Watchable[Any]) -> None:
        async for _ in source.changes():
            self._look.set()

    async def _keep(self) -> None:
        backoff, pause_s = Backoff(limit_s=30.0), _LOOK_AGAIN_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            self._look.clear()
            pause_s = _LOOK_AGAIN_S
            if not self._held.value or not self._belief.wanted.value:
                continue
            kept = [await self._keep_one(ref) for ref in sorted(self._found)]
            if all(kept):
                backoff.reset()
            else:
                pause_s = backoff.next_s()

    async def _keep_one(self, ref: Ref) -> bool:
        """Write where it is needed; whether it is true now. Somebody else may have written meanwhile."""
        kind = _KINDS[ref.kind]
        try:
            found = await self._client.get(kind, "", ref.name)
            patch = bundle_patch(found, self._belief.wanted.value)
            if patch:
                path = path_of(kind, "", ref.name)
                await self._client.request("PATCH", path, body=patch, content_type=_JSON_PATCH)
                BUNDLE_WRITES.labels(outcome="written").inc()
                log.info("webhook roots written", object=f"{kind.name} {ref.name}", webhooks=len(patch) // 2)
        except NotFound:
            return True  # it has gone; once it is there, we hear of it
        except KubeError as error:
            BUNDLE_WRITES.labels(outcome="failed").inc()
            hint = _TAG_HINT if isinstance(error, Forbidden) and ref.name.startswith(TAG_PREFIX) else ""
            self._complain(ref, f"{error}{hint}")
            return False
        self._troubles.pop(ref, None)
        return True

    def _complain(self, ref: Ref, why: str) -> None:
        if self._troubles.get(ref) != why:
            log.warning("webhook roots not written", object=f"{ref.kind} {ref.name}", error=why)
        self._troubles[ref] = why


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
