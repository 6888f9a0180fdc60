"""The Secrets and ConfigMaps of one cluster that are wanted, each followed by itself and no other seen.

A watch with the field selector `metadata.name` needs no right to more than that one object. What is wrong with a
credential is told in place of it, also when it expires while it is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from isthmus.api import kind_named
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import discovery as log
from isthmus.kit.tasks import Crew, keep_trying, supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Scope
from isthmus.kube.errors import Forbidden
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.change import UNKNOWN, Doubted, Unknown
from isthmus.model.credential import certificate_path, credential_of, life_finding
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_names import CA_SUFFIX
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId

Word = Object | Doubted | Finding | Unknown | None
Tell = Callable[[Ref, Word], None]
_LOOK_AT_CLOCK_S = 60.0


class CredentialFollower:
    """Tells of each wanted object: what it is, that it is not there, or what is wrong with it."""

    def __init__(
        self,
        cluster: ClusterId,
        wanted: Watchable[frozenset[CredentialKey]],
        watch: Callable[[Kind, Scope], Watch],
        tell: Tell,
        clock: Clock,
    ) -> None:
        self._cluster, self._wanted, self._watch = cluster, wanted, watch
        self._tell_outside, self._clock = tell, clock
        self._told: dict[Ref, Word] = {}
        self._held: dict[Ref, Secret | ConfigMap] = {}

    @property
    def told(self) -> Mapping[Ref, Word]:
        """What is known of the objects that are followed."""
        return self._told

    async def run(self) -> None:
        """Follow what is wanted until cancelled."""
        crew = Crew()
        following: set[Ref] = set()
        try:
            async with supervise(self._watch_the_clock()):
                async for wanted in self._wanted.changes():
                    mine = {ref for cluster, ref in wanted if cluster == self._cluster}
                    for ref in following - mine:
                        await crew.stop(str(ref))
                        self._forget(ref)
                    for ref in sorted(mine - following):
                        job = partial(self._follow, ref)
                        crew.start(str(ref), keep_trying(f"follow {ref}", job, clock=self._clock))
                    following = mine
        finally:
            await crew.stop_all()

    async def _follow(self, ref: Ref) -> None:
        kind = kind_named(ref.kind)
        scope = Scope(ref.namespace, fields=f"metadata.name={ref.name}")
        informer = Informer(kind, self._watch(kind, scope), self._heard)
        log.info("following a credential", cluster=self._cluster, object=str(ref))
        async with supervise(informer.run()):
            async for health in informer.health.changes():
                if health.synced and ref not in informer.store and self._told.get(ref, UNKNOWN) is not None:
                    self._heard(ref, None)
                elif not health.synced and isinstance(health.error, Forbidden):
                    self._tell(ref, _forbidden(ref, self._cluster))

    def _heard(self, ref: Ref, fact: Object | InvalidConfig | None) -> None:
        self._held.pop(ref, None)
        if isinstance(fact, InvalidConfig):
            self._tell(ref, self._finding(ref, fact.path, fact.message))
            return
        if isinstance(fact, Secret | ConfigMap):
            self._held[ref] = fact
        self._tell(ref, self._timely(ref, fact))

    def _timely(self, ref: Ref, found: Object | None) -> Word:
        """`found`, or what is wrong with it now: no certificate is told of outside its life.

        One that comes to its end is told of, and that it does.
        """
        if not isinstance(found, Secret | ConfigMap):
            return found
        try:
            held = credential_of(found)
        except InvalidConfig:
            return found  # whoever hears it finds the same
        key = CredentialKey(self._cluster, ref)
        wrong = life_finding(key, certificate_path(found), held, self._clock.now())
        if wrong is None or wrong.severity is Severity.ERROR:
            return wrong or found
        return Doubted(found, wrong)

    def _finding(self, ref: Ref, path: str, message: str) -> Finding:
        return Finding(ref=ref, path=path, message=message, cluster=self._cluster, code=Code.CREDENTIAL)

    async def _watch_the_clock(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_AT_CLOCK_S)
            for ref, found in list(self._held.items()):
                word = self._timely(ref, found)
                if _doubt(word) != _doubt(self._told.get(ref)):
                    self._tell(ref, word)
                await asyncio.sleep(0)

    def _forget(self, ref: Ref) -> None:
        self._held.pop(ref, None)
        self._told.pop(ref, None)
        self._tell_outside(ref, UNKNOWN)

    def _tell(self, ref: Ref, word: Word) -> None:
        self._told[ref] = word
        self._tell_outside(ref, word)


def _doubt(word: Word) -> Finding | None:
    if isinstance(word, Doubted):
        return word.finding
    return word if isinstance(word, Finding) else None


def _forbidden(ref: Ref, cluster: ClusterId) -> Finding:
    hint = (
        f"hint: isthmus install secret-reader --cluster {cluster} --in {ref.namespace} "
        f"--secret {ref.name.removesuffix(CA_SUFFIX)} | kubectl apply -f -"
    )
    message = f"pilot may not read it ({hint})"
    return Finding(ref=ref, message=message, cluster=cluster, code=Code.CREDENTIAL)
