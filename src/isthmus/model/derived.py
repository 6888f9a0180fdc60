"""Objects of Istio's kinds that follow from those of the Gateway API and from Ingresses, and what is told of these.

Only what something that changed was looked up for is made anew; equal stays the same object (ADR 0017, ADR 0019).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.kit.sheet import Sheet
from isthmus.model import maps
from isthmus.model.credential import Credential
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_names import Place, asked
from isthmus.model.credential_uses import uses_of
from isthmus.model.findings import Finding
from isthmus.model.from_gateway_api import convert as gateway_api
from isthmus.model.from_ingress import convert as ingresses
from isthmus.model.lookup import CREDENTIAL, SERVICE, SETTINGS, Lookup
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ServiceKey
from isthmus.model.origins import Origins
from isthmus.model.rules import RUN_IN
from isthmus.model.service import Service
from isthmus.model.told import Told

_BESIDE = {"Ingress", "IngressClass", "Namespace", "Service", "ServiceEntry"}
_KINDS = frozenset({kind.ref_kind for kind in KINDS} | _BESIDE)
"""The objects that may be looked up."""
_MADE = (*gateway_api.MADE, *ingresses.MADE)
_TOLD = (*gateway_api.TOLD, *ingresses.TOLD)
_REFS = {GatewayConfig: "Gateway", VirtualService: "VirtualService", DestinationRule: "DestinationRule"}


class Sources(msgspec.Struct, frozen=True):
    """What may be looked up: the objects of the cluster with the configuration, and what is known of all clusters."""

    objects: Mapping[Ref, Object]
    services: Mapping[ServiceKey, Service]
    credentials: Mapping[CredentialKey, Credential]
    settings: MeshSettings


class Moved(NamedTuple):
    """The refs of the made objects, and of those with a status, that differ now."""

    objects: frozenset[Ref]
    statuses: frozenset[Ref]


class Derived:
    """What was made, and from what."""

    def __init__(self, settings: MeshSettings) -> None:
        self.objects: Mapping[Ref, Object] = {}
        self.origins: Mapping[Ref, Origins] = {}
        self.statuses: Mapping[Ref, msgspec.Struct] = {}
        self.grants: frozenset[tuple[str, Ref]] = frozenset()
        self._found: dict[tuple[str, Any], tuple[Finding, ...]] = {}
        self._all_findings: tuple[Finding, ...] | None = ()
        self._sources = Sources({}, {}, {}, settings)
        facts: dict[str, Callable[[Any], object]] = dict.fromkeys(_KINDS, self._object)
        facts |= {SERVICE: self._service, CREDENTIAL: self._credential, SETTINGS: self._settings}
        self._sheet = Sheet(facts)
        lookup = Lookup(self._sheet.look, settings)
        self._sheet.add(gateway_api.GatewayApi(lookup).columns())
        self._sheet.add(ingresses.Ingresses(lookup).columns())

    @property
    def credentials(self) -> Collection[CredentialKey]:
        """The Secrets and ConfigMaps that were asked for: they are to be followed."""
        return self._sheet.looked_at(CREDENTIAL).keys()

    def follow(self, changed: Iterable[Ref], services: Iterable[ServiceKey], sources: Sources) -> Moved:
        """Take up that the objects `changed`, and the `services`."""
        before, self._sources = self._sources, sources
        for ref in changed:
            if ref.kind in _KINDS:
                self._sheet.touch(ref.kind, ref)
        for key in services:
            self._sheet.touch(SERVICE, key)
        if sources.credentials is not before.credentials:
            for asked_for in self.credentials:
                if before.credentials.get(asked_for) is not sources.credentials.get(asked_for):
                    self._sheet.touch(CREDENTIAL, asked_for)
        if sources.settings is not before.settings:
            self._sheet.touch(SETTINGS, "")
        moved = self._sheet.settle()
        return Moved(
            self._make([pair for name in _MADE for pair in moved[name].values()]),
            self._tell({name: moved[name] for name in _TOLD if moved[name]}),
        )

    def _object(self, ref: Ref) -> Object | None:
        return self._sources.objects.get(ref)

    def _service(self, key: ServiceKey) -> Service | None:
        return self._sources.services.get(key)

    def _credential(self, key: CredentialKey) -> Credential | None:
        return self._sources.credentials.get(key)

    def _settings(self, _: str) -> MeshSettings:
        return self._sources.settings

    def _make(self, moved: Collection[tuple[Any, Any]]) -> frozenset[Ref]:
        if not moved:
            return frozenset()
        gone = {_ref(made): None for before, _ in moved for made, _ in before or ()}
        objects: dict[Ref, Object | None] = dict(gone)
        origins: dict[Ref, Origins | None] = dict(gone)
        for _, after in moved:
            for made, origin in after or ():
                ref = _ref(made)
                objects[ref] = maps.same(self.objects.get(ref), made)
                origins[ref] = maps.same(self.origins.get(ref), origin)
        before, self.objects = self.objects, maps.updated(self.objects, objects)
        self.origins = maps.updated(self.origins, origins)
        differing = maps.differing(before, self.objects, set(objects))
        if any(ref.kind != "VirtualService" for ref in differing):
            self.grants = maps.same(self.grants, frozenset(self._granted()))
        return differing

    def _tell(self, moved: Mapping[str, Mapping[Any, tuple[Told | None, Told | None]]]) -> frozenset[Ref]:
        statuses: dict[Ref, msgspec.Struct | None] = {}
        for name, cells in moved.items():
            for key, (_, after) in cells.items():
                told = after or Told()
                if isinstance(key, Ref):
                    statuses[key] = maps.same(self.statuses.get(key), told.status)
                self._find((name, key), told.findings)
        before, self.statuses = self.statuses, maps.updated(self.statuses, statuses)
        return maps.differing(before, self.statuses, set(statuses))

    def _find(self, cell: tuple[str, Any], findings: tuple[Finding, ...]) -> None:
        if self._found.get(cell, ()) != findings:
            self._found.pop(cell, None)
            if findings:
                self._found[cell] = findings
            self._all_findings = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong; the same tuple for as long as it is."""
        if self._all_findings is None:
            self._all_findings = tuple(each for found in self._found.values() for each in found)
        return self._all_findings

    def _granted(self) -> Iterator[tuple[str, Ref]]:
        """Whose gateways may use which credentials of other namespaces: what has no leave was not made at all."""
        cluster = self._sources.settings.config_cluster
        for ref, made in self.objects.items():
            if ref.kind == "VirtualService":
                continue
            namespace = made.metadata.annotations.get(RUN_IN, made.metadata.namespace)
            for use in uses_of(made):
                meant = asked(use.name, Place(namespace, cluster, cluster))
                for key in meant.keys if meant is not None else ():
                    if key.ref.namespace != namespace:
                        yield namespace, key.ref


def _ref(made: Object) -> Ref:
    return Ref(_REFS[type(made)], made.metadata.namespace, made.metadata.name)
