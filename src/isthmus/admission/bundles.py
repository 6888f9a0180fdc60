"""Keeps true by which roots API servers believe the webhooks: `caBundle` in their configurations.

Those are our own cluster's, and of clusters elsewhere those that ask us by a URL (ADR 0054). One of all that serve
writes, by a Lease, and against what is there (RFC 6902 `test`), so nobody's change is lost.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
from isthmus.kube.watch import Watch, WatchSettings
from isthmus.model.revision import LABEL, TAG_LABEL, TAG_PREFIX

Json = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_JSON_PATCH = "application/json-patch+json"
_LOOK_AGAIN_S = 60.0
_TAG_HINT = " (hint: isthmus revision tag set TAG --revision REVISION --overwrite gives the right to it)"
_ELSEWHERE_HINT = " (hint: isthmus install remote --injection-url gives the right to it)"
_ELSEWHERE = WatchSettings(longest_wait_s=60.0)
"""Most clusters ask nobody by a URL, and give no right to read their webhooks."""


class _Service(msgspec.Struct, frozen=True):
    namespace: str = ""


class _ClientConfig(msgspec.Struct, frozen=True, rename="camel"):
    ca_bundle: str | None = None
    url: str = ""
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
        self._by_cluster: dict[object, Sequence[frozenset[str]]] = {}

    def heard(self, of: object, roots: Sequence[frozenset[str]]) -> None:
        """Take what each of one cluster's webhooks believes now; none: it has no webhooks."""
        self._by_cluster.pop(of, None)
        if roots:
            self._by_cluster[of] = roots
        each_sees = [one for several in self._by_cluster.values() for one in several]
        self.seen.set(frozenset.intersection(*each_sees) if each_sees else None)

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
    cluster: str = ""
    """Of another one than ours the name."""
    is_ours: Callable[[str], bool] = lambda _: True
    """Of webhooks in another cluster: whether a host that their URL names is ours. There may be others' beside."""

    def asks_us(self, url: str) -> bool:
        """Whether a webhook is ours to answer that asks at `url`; empty: that asks a Service of its cluster."""
        if not self.cluster:
            return True
        with suppress(ValueError):
            return self.is_ours(urlsplit(url).hostname or "")
        return False

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
        if self.cluster:
            return any(each.client_config.url for each in found.webhooks)
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
        patience = _ELSEWHERE if self._answered.cluster else WatchSettings()
        try:
            async with asyncio.TaskGroup() as group:
                for kind, scope in self._answered.followed:
                    watch = Watch(self._client, kind, scope, patience)
                    group.create_task(Informer(kind, watch, self._seen).run())
                group.create_task(self._notice(self._belief.wanted))
                group.create_task(self._notice(self._held))
                group.create_task(self._keep())
        finally:
            self._belief.heard(self, ())

    def _seen(self, ref: Ref, found: Object | InvalidConfig | None) -> None:
        self._found.pop(ref, None)
        if found is None:
            self._troubles.pop(ref, None)
        if isinstance(found, WebhookConfiguration) and self._answered.has(found):
            called = [each.client_config for each in found.webhooks]
            ours = [each for each in called if self._answered.asks_us(each.url)]
            self._found[ref] = [_roots(_decoded(each.ca_bundle)) for each in ours]
        self._belief.heard(self, [roots for one in self._found.values() for roots in one])
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
            patch = bundle_patch(found, self._belief.wanted.value, self._answered.asks_us)
            if patch:
                path = path_of(kind, "", ref.name)
                await self._client.request("PATCH", path, body=patch, content_type=_JSON_PATCH)
                BUNDLE_WRITES.labels(outcome="written").inc()
                log.info("webhook roots written", **self._named(ref), webhooks=len(patch) // 2)
        except NotFound:
            return True  # it has gone; once it is there, we hear of it
        except KubeError as error:
            BUNDLE_WRITES.labels(outcome="failed").inc()
            self._complain(ref, f"{error}{self._hint(ref) if isinstance(error, Forbidden) else ''}")
            return False
        self._troubles.pop(ref, None)
        return True

    def _complain(self, ref: Ref, why: str) -> None:
        if self._troubles.get(ref) != why:
            log.warning("webhook roots not written", **self._named(ref), error=why)
        self._troubles[ref] = why

    def _named(self, ref: Ref) -> dict[str, str]:
        where = {"cluster": self._answered.cluster} if self._answered.cluster else {}
        return where | {"object": f"{ref.kind} {ref.name}"}

    def _hint(self, ref: Ref) -> str:
        if ref.name.startswith(TAG_PREFIX):
            return _TAG_HINT
        return _ELSEWHERE_HINT if self._answered.cluster else ""


def bundle_patch(
    configuration: Json, bundle: bytes, asks_us: Callable[[str], bool] = lambda _: True
) -> list[Json]:
    """What makes every webhook in `configuration` believe `bundle`; nothing where all of them do.

    `asks_us`: whether one that asks at a URL is meant; its URL is empty where it asks a Service.
    """
    wanted = _roots(bundle)
    patch: list[Json] = []
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        called = webhook.get("clientConfig") or {}
        if asks_us(called.get("url") or "") and _roots(_decoded(called.get("caBundle"))) != wanted:
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
