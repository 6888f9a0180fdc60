"""The newest token for each cluster, in a Secret beside Pilot: the next Pilot goes on with it.

What stands in the registry is where a token comes from, and may have ended long ago. A kept one counts only for the
entry that it was renewed from: an entry that is written anew is believed by itself (ADR 0045). So each entry has a key
of its own: Pilots of two revisions share what they renew where they read a cluster by one entry, and where they read it
by two neither overwrites what the other keeps.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from isthmus.api import kind_named
from isthmus.api.core.secret import Secret
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.redacted import Redacted
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


def keys_of(cluster: str, data: Iterable[str]) -> list[str]:
    """The keys among those of the Secret under which tokens for a cluster are kept."""
    return [key for key in data if key.rpartition(".")[0] == cluster]


class KeptTokens:
    """Reads and writes them; what cannot be kept costs nothing while this Pilot lives."""

    def __init__(self, access: Access, namespace: str, clock: Clock | None = None) -> None:
        self._access, self._namespace = access, namespace
        self._clock = clock or SystemClock()
        self._one_at_a_time = asyncio.Lock()
        self._read: tuple[float, Mapping[str, str]] | None = None

    async def recall(self, cluster: ClusterId, entry: Redacted) -> Redacted | None:
        """The newest token that was renewed from `entry`, the registry's; None where there is none that lives."""
        async with self._one_at_a_time:
            now = self._clock.monotonic()
            if self._read is None or now - self._read[0] > _ANSWER_S:
                self._read = (now, await self._look())
        found = self._read[1].get(_key(cluster, entry))
        return Redacted(found) if found is not None and self._lives(found) else None

    async def keep(self, cluster: ClusterId, entry: Redacted, token: Redacted) -> str:
        """Keep `token`, which was renewed from `entry`; returns why that is not done, or nothing."""
        try:
            async with asyncio.timeout(_ANSWER_S), Client(self._access) as client:
                kept = _tokens(await self._get(client))
                gone = {key: None for key, each in kept.items() if not self._lives(each)}
                data = gone | {_key(cluster, entry): base64.b64encode(str.__str__(token).encode()).decode()}
                await client.merge(_KIND, self._namespace, NAME, {"data": data})
        except NotFound:
            return f"there is no Secret {self._namespace}/{NAME} ({_HINT})"
        except (KubeError, TimeoutError) as error:
            return str(error) or "the API server does not answer in time"
        return ""

    def _lives(self, token: str) -> bool:
        said = read_token(token)
        return said is not None and (said.end is None or said.end > self._clock.now())

    async def _look(self) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(_ANSWER_S), Client(self._access) as client:
                return _tokens(await self._get(client))
        except (KubeError, TimeoutError) as error:
            why = str(error) or "no answer"
            log.warning("tokens that were kept cannot be read", secret=NAME, error=why)
            return {}

    async def _get(self, client: Client) -> Secret:
        try:
            return msgspec.convert(await client.get(_KIND, self._namespace, NAME), Secret)
        except UNREADABLE as error:
            raise KubeError(f"secret {self._namespace}/{NAME}: {error}") from error


def _tokens(secret: Secret) -> dict[str, str]:
    """By key; what is no text is no token."""
    found = {}
    for key, text in secret.data.items():
        try:
            found[key] = base64.b64decode(text).decode()
        except ValueError:
            log.warning("what was kept of a cluster is no token", secret=NAME, key=key)
    return found


def _key(cluster: str, entry: Redacted) -> str:
    """Of a cluster and the entry that a token was renewed from, which the key does not hold."""
    return f"{cluster}.{hashlib.sha256(str.__str__(entry).encode()).hexdigest()[:32]}"
