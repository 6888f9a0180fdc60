"""The newest token for each cluster, in a Secret beside Pilot: the next Pilot goes on with it.

What stands in the registry is where a token comes from, and may have ended long ago. A kept one counts only for the
entry that it was renewed from: an entry that is written anew is believed by itself (ADR 0045).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping

import msgspec

from isthmus.api import kind_named
from isthmus.api.core.secret import Secret
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.log import Redacted
from isthmus.kit.scopes import discovery as log
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.account_token import read_token
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.model.names import ClusterId

NAME = "istio-cluster-tokens"
_KIND = kind_named("Secret")
_ANSWER_S = 5.0
_HINT = "hint: isthmus install primary"


class _Entry(msgspec.Struct, frozen=True, rename={"origin": "from"}):
    """What is kept of a cluster, as JSON."""

    origin: str
    token: str


class KeptTokens:
    """Reads and writes them; what cannot be kept costs nothing while this Pilot lives."""

    def __init__(self, access: Access, namespace: str, clock: Clock | None = None) -> None:
        self._access, self._namespace = access, namespace
        self._clock = clock or SystemClock()
        self._one_at_a_time = asyncio.Lock()
        self._read: tuple[float, Mapping[str, _Entry]] | None = None

    async def recall(self, cluster: ClusterId, entry: Redacted) -> Redacted | None:
        """The newest token that was renewed from `entry`, the registry's; None where there is none that lives."""
        async with self._one_at_a_time:
            now = self._clock.monotonic()
            if self._read is None or now - self._read[0] > _ANSWER_S:
                self._read = (now, await self._look())
        found = self._read[1].get(cluster)
        if found is None or found.origin != _print(entry) or not self._lives(found):
            return None
        return Redacted(found.token)

    async def keep(self, cluster: ClusterId, entry: Redacted, token: Redacted) -> str:
        """Keep `token`, which was renewed from `entry`; returns why that is not done, or nothing."""
        try:
            async with asyncio.timeout(_ANSWER_S), Client(self._access) as client:
                kept = _entries(await self._get(client))
                gone = {name: None for name, each in kept.items() if not self._lives(each)}
                new = _Entry(_print(entry), str.__str__(token))
                data = gone | {cluster: base64.b64encode(msgspec.json.encode(new)).decode()}
                await client.merge(_KIND, self._namespace, NAME, {"data": data})
        except NotFound:
            return f"there is no Secret {self._namespace}/{NAME} ({_HINT})"
        except (KubeError, TimeoutError) as error:
            return str(error) or "the API server does not answer in time"
        return ""

    def _lives(self, entry: _Entry) -> bool:
        said = read_token(entry.token)
        return said is not None and (said.end is None or said.end > self._clock.now())

    async def _look(self) -> Mapping[str, _Entry]:
        try:
            async with asyncio.timeout(_ANSWER_S), Client(self._access) as client:
                return _entries(await self._get(client))
        except (KubeError, TimeoutError) as error:
            why = str(error) or "no answer"
            log.warning("tokens that were kept cannot be read", secret=NAME, error=why)
            return {}

    async def _get(self, client: Client) -> Secret:
        try:
            return msgspec.convert(await client.get(_KIND, self._namespace, NAME), Secret)
        except UNREADABLE as error:
            raise KubeError(f"secret {self._namespace}/{NAME}: {error}") from error


def _entries(secret: Secret) -> dict[str, _Entry]:
    """By cluster; an entry that is none is left out."""
    found = {}
    for name, text in secret.data.items():
        try:
            found[name] = msgspec.json.decode(base64.b64decode(text), type=_Entry)
        except (ValueError, *UNREADABLE):
            log.warning("what was kept of a cluster is no token", secret=NAME, cluster=name)
    return found


def _print(token: Redacted) -> str:
    """Tells tokens apart without holding them."""
    return hashlib.sha256(str.__str__(token).encode()).hexdigest()[:32]
