"""One cluster, followed: its informers, whose facts become changes of the mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

import msgspec

from isthmus.api import KINDS
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.discovery.access_renewal import AccessRenewal, Renewals
from isthmus.discovery.cluster_keeper import ClusterKeeper, KeeperSettings
from isthmus.discovery.credential_follower import CredentialFollower, Word
from isthmus.discovery.last_known import Fact
from isthmus.discovery.registry import ClusterSpec
from isthmus.discovery.selection import SELECTION
from isthmus.kit import date, duration
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import INBOUND_CHANGES
from isthmus.kit.scopes import discovery as log
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, NotFound, Unauthorized
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch, WatchSettings
from isthmus.model import trust_bundles
from isthmus.model.change import Change, ChangeKey, Refused, refused
from isthmus.model.codes import code_of_problem
from isthmus.model.config_cluster import is_config
from isthmus.model.credential_key import CredentialKey
from isthmus.model.findings import Finding
from isthmus.model.revision import DEFAULT, LABEL, is_read_by, settings_map

Put = Callable[[Change], None]
Companion = Callable[[ClusterSpec, Client], Coroutine[Any, Any, None]]
"""What is done in each cluster besides following it, for as long as it is followed."""


class WatcherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is followed in a cluster, and how."""

    root_namespace: str = "istio-system"
    revision: str = DEFAULT
    """Configuration that is labelled for another one is not read."""
    watch: WatchSettings = WatchSettings()
    companions: tuple[Companion, ...] = ()
    renewals: Renewals = Renewals()
    credentials: Watchable[frozenset[CredentialKey]] = msgspec.field(
        default_factory=lambda: Watchable(frozenset[CredentialKey]())
    )
    """The Secrets and ConfigMaps, of whatever clusters, that are followed as well."""
    keeper: KeeperSettings = KeeperSettings()


class ClusterState(Enum):
    """How it stands with a cluster, in one word."""

    SYNCED = "synced"  # everything is known and connections stand
    SYNCING = "syncing"  # not everything is known yet
    STALE = (
        "stale"  # everything was known once, but a connection is lost: the last known stays till it is back
    )
    REFUSED = "refused"  # the API server does not let us
    KEPT = "kept"  # not everything is heard yet: what is not is served as it was, from disk
    UNREACHABLE = "unreachable"  # nothing is known and there is no answer


class ClusterHealth(msgspec.Struct, frozen=True):
    """How it stands with a cluster."""

    state: ClusterState
    error: str = ""
    objects: int = 0
    as_of: float = 0.0  # the moment, in seconds of the epoch, of what is served from disk; 0: nothing is


class ClusterWatcher:
    """Follows one cluster with one set of credentials.

    Silent at first: its facts are told only after `speak`, so that a watcher with new credentials can
    take over from another without a gap.
    """

    def __init__(
        self, spec: ClusterSpec, put: Put, settings: WatcherSettings, clock: Clock | None = None
    ) -> None:
        self.spec = spec
        self.labelled: set[Ref] = set()
        """The configuration that is our revision's by its label."""
        self._put, self._settings = put, settings
        self._clock = clock or SystemClock()
        self.renewal = AccessRenewal(spec, settings.renewals, self._clock)
        self.client = Client(spec.access, proof=self.renewal)
        self._speaks = False
        self._named: dict[Informer, str] = {}  # of those that follow one object: which
        self._credentials = CredentialFollower(
            spec.id, settings.credentials, self._watch, self._heard_of_credential, self._clock
        )
        self._informers = [self._informer(kind) for kind in KINDS if self._wants(kind)]
        # Of clusters that no installation of this revision has reached yet: they are where they are all the same.
        own = settings_map(settings.revision)
        self._settings_names = (
            (own,) if spec.is_config else tuple(dict.fromkeys((own, settings_map(DEFAULT))))
        )
        self._informers += [self._informer_named(name) for name in self._settings_names]
        if spec.is_config:
            self._informers.append(self._informer_named(trust_bundles.CONFIG_MAP))
        self.keeper = ClusterKeeper(spec, settings.keeper, self._clock)
        self._spoke = asyncio.Event()
        self._recalled_at: float | None = None
        self._recalling = asyncio.Lock()

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with self.client, asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            for informer in self._informers:
                group.create_task(informer.run())
            group.create_task(self._credentials.run())
            group.create_task(self.renewal.run(self.client))
            for companion in self._settings.companions:
                group.create_task(companion(self.spec, self.client))

    async def synced(self) -> None:
        """Return when everything that can be known of the cluster is known."""
        for informer in self._informers:
            await self._settled(informer)

    async def recall(self) -> None:
        """Serve as it was last what nobody has heard of until now, where it is known; what is heard then counts."""
        async with self._recalling:
            if self._recalled_at is not None or not self._speaks or self._all_settled:
                return
            known = await self.keeper.recall()
            if known is None or not self._speaks:
                return
            self._recalled_at = known.at
            for informer in self._informers:
                if not _is_settled(informer):
                    informer.recall(
                        {ref: fact for ref, fact in known.facts.items() if self._is_for(informer, ref)}
                    )
            log.warning("cluster served as it was", cluster=self.spec.id, as_of=date.show(known.at))

    async def _keep(self) -> None:
        await self._spoke.wait()
        await self.keeper.run(self)

    @property
    def as_of(self) -> float:
        """The moment, in seconds of the epoch, of what is served as it was; 0: all is served as it is heard."""
        return 0.0 if self._recalled_at is None or self._all_settled else self._recalled_at

    @property
    def is_whole(self) -> bool:
        """Whether all of the cluster is known and heard now."""
        return self._speaks and self._all_settled and not any(_fails(each) for each in self._informers)

    @property
    def is_unknown(self) -> bool:
        """Whether the cluster fails, and some of it was never known, nor is served as it was."""
        return not (self._all_settled or self.as_of) and any(_fails(each) for each in self._informers)

    @property
    def _all_settled(self) -> bool:
        return all(_is_settled(each) for each in self._informers)

    def fact(self, ref: Ref) -> Fact | None:
        """What is known of one object now; None: that there is none."""
        return next((each.store[ref] for each in self._informers if ref in each.store), None)

    def undecoded(self, ref: Ref) -> bytes:
        """Configuration that does not decode, as it came; empty where there is none."""
        return next((each.undecoded[ref] for each in self._informers if ref in each.undecoded), b"")

    def _is_for(self, informer: Informer, ref: Ref) -> bool:
        return ref.kind == informer.kind.ref_kind and self._named.get(informer, ref.name) == ref.name

    @property
    def has_answered(self) -> bool:
        """Whether of each kind all is known, or why it is not; of the configuration's cluster some must be known."""
        if self.as_of:
            return True
        if self.spec.is_config and not any(
            _is_settled(each) for each in self._informers if not each.kind.is_config
        ):
            return False
        return all(_is_settled(each) or _fails(each) for each in self._informers)

    def facts(self) -> dict[Ref, Fact]:
        """All that is known of the cluster now."""
        return {ref: fact for informer in self._informers for ref, fact in informer.store.items()}

    def speak(self, before: Mapping[Ref, Fact] | None = None) -> None:
        """Tell all facts, and from now on each change. `before` is what another watcher told already."""
        before, now = before or {}, self.facts()
        self._speaks = True
        self._spoke.set()
        for ref in before.keys() - now.keys():
            self._tell(ref, None)
        for ref, fact in now.items():
            self._tell(ref, fact)
        for ref, word in self._credentials.told.items():
            self._heard_of_credential(ref, word)

    def fall_silent(self) -> None:
        """Tell nothing any more."""
        self._speaks = False

    def health(self) -> ClusterHealth:
        """How it stands with the cluster now."""
        failing = [informer.health.value for informer in self._informers if _fails(informer)]
        errors = [found.error for found in failing]
        objects = sum(len(informer.store) for informer in self._informers)
        all_synced, as_of = self._all_settled, self.as_of
        was = f"as it was at {date.show(as_of)}" if as_of else ""
        if not errors:
            waiting = ClusterState.KEPT if as_of else ClusterState.SYNCING
            return ClusterHealth(ClusterState.SYNCED if all_synced else waiting, was, objects, as_of)
        refusal = next((e for e in errors if isinstance(e, Unauthorized | Forbidden)), None)
        if refusal is not None:
            state = ClusterState.REFUSED
        elif as_of:
            state = ClusterState.KEPT
        else:
            state = ClusterState.STALE if all_synced else ClusterState.UNREACHABLE
        lost_s = self._clock.now() - min(found.lost_at for found in failing)
        why = f"{refusal or errors[0]}; so for {duration.show(max(1, round(lost_s)))}"
        if isinstance(refusal, Unauthorized):
            why += f" (hint: isthmus clusters rotate {self.spec.id})"
        message = f"{was}; {why}" if was else why
        return ClusterHealth(state, message, objects, as_of)

    def _wants(self, kind: Kind) -> bool:
        return kind.name not in {"Cluster", "Secret", "Endpoints", "ServiceAccount", "ConfigMap"}

    def _informer(self, kind: Kind) -> Informer:
        scope = SELECTION.get(kind.name, Scope())
        return Informer(kind, self._watch(kind, scope), self._heard)

    def _informer_named(self, name: str) -> Informer:
        """Of one ConfigMap beside Pilot."""
        (kind,) = (each for each in KINDS if each.name == "ConfigMap")
        scope = Scope(self._settings.root_namespace, fields=f"metadata.name={name}")
        informer = Informer(kind, self._watch(kind, scope), self._heard)
        self._named[informer] = name
        return informer

    def _watch(self, kind: Kind, scope: Scope) -> Watch:
        return Watch(self.client, kind, scope, self._settings.watch, self._clock)

    def _heard(self, ref: Ref, fact: Fact | None) -> None:
        self.keeper.heard(ref)
        if self._speaks:
            self._tell(ref, fact)

    def _heard_of_credential(self, ref: Ref, word: Word) -> None:
        if self._speaks:
            INBOUND_CHANGES.labels(ref.kind).inc()
            self._put(Change(ChangeKey(self.spec.id, ref), word))

    def _tell(self, ref: Ref, fact: Fact | None) -> None:
        if ref.kind == "ConfigMap" and ref.name in self._settings_names:
            ref, fact = self._settings_of_mesh(ref)
        labels = self._labels(ref, fact)
        if not is_read_by(labels, self._settings.revision):
            fact = None
        self._note_label(ref, is_labelled=fact is not None and bool(labels.get(LABEL)))
        value: Object | Finding | Refused | None
        if isinstance(fact, InvalidConfig):
            code = code_of_problem(fact.path, fact.message)
            found = Finding(ref=ref, path=fact.path, message=fact.message, cluster=self.spec.id, code=code)
            value = refused(found, fact.instead)
        else:
            value = fact
        INBOUND_CHANGES.labels(ref.kind).inc()
        if log.says("debug"):
            log.debug("heard", cluster=self.spec.id, object=str(ref), gone=value is None)
        self._put(Change(ChangeKey(self.spec.id, ref), value))

    def _settings_of_mesh(self, ref: Ref) -> tuple[Ref, Fact | None]:
        """What counts of the ConfigMaps with settings, under the name of the first: the mesh knows of one."""
        refs = [ref._replace(name=name) for name in self._settings_names]
        return refs[0], next((found for each in refs if (found := self.fact(each)) is not None), None)

    def _labels(self, ref: Ref, fact: Fact | None) -> Mapping[str, str]:
        """Those of configuration; none of other objects, which all revisions read."""
        if fact is None or not is_config(ref):
            return {}
        if isinstance(fact, Object):
            return fact.metadata.labels
        with suppress(*UNREADABLE):
            return msgspec.json.decode(self.undecoded(ref), type=Object).metadata.labels
        return {}

    def _note_label(self, ref: Ref, *, is_labelled: bool) -> None:
        (self.labelled.add if is_labelled else self.labelled.discard)(ref)

    async def _settled(self, informer: Informer) -> None:
        async for _ in informer.health.changes():
            if _is_settled(informer):
                return


def _is_settled(informer: Informer) -> bool:
    return informer.health.value.synced


def _is_absent(informer: Informer) -> bool:
    # A cluster without our CRDs is whole without them; they are looked for again all the time.
    return informer.kind.is_config and isinstance(informer.health.value.error, NotFound)


def _fails(informer: Informer) -> bool:
    return informer.health.value.error is not None and not _is_absent(informer)
