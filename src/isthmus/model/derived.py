"""Objects of Istio's kinds that follow from those of the Gateway API, and what is told of these.

Made anew only when something changed that was looked at while they were made; equal stays the same object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Generic, TypeVar, cast

import msgspec

from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import Service as CoreService
from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.resource import Object, Ref
from isthmus.model import maps
from isthmus.model.asked import Asked
from isthmus.model.findings import Finding
from isthmus.model.from_gateway_api.convert import convert
from isthmus.model.from_gateway_api.inputs import Inputs, Route
from isthmus.model.names import ServiceKey
from isthmus.model.origins import Origins
from isthmus.model.service import Service

K = TypeVar("K")
V = TypeVar("V")
O = TypeVar("O", bound=Object)  # noqa: E741 - an object of any kind

_TYPES = {kind.ref_kind: kind.type for kind in KINDS}


class Sources(msgspec.Struct, frozen=True):
    """What may be looked at: the objects of the cluster with the configuration, and the services of all clusters."""

    objects: Mapping[Ref, Object]
    services: Mapping[ServiceKey, Service]
    domain: str


class Derived:
    """What was made, and from what."""

    def __init__(self) -> None:
        self.objects: Mapping[Ref, Object] = {}
        self.origins: Mapping[Ref, Origins] = {}
        self.statuses: Mapping[Ref, msgspec.Struct] = {}
        self.findings: tuple[Finding, ...] = ()
        self._written: dict[type[Object], dict[Ref, Object]] = defaultdict(dict)
        self._objects: Asked[Ref, Object] = Asked({})
        self._services: Asked[ServiceKey, Service] = Asked({})

    def follow(self, changed: Collection[Ref], sources: Sources) -> frozenset[Ref]:
        """Take up that the objects `changed`; returns the refs of made objects that differ now."""
        is_written = False
        for ref in changed:
            if ref.kind in _TYPES:
                is_written = True
                self._write(ref, sources.objects.get(ref))
        stands = self._objects.stands(sources.objects, changed) and self._services.stands(sources.services)
        if not is_written and stands:
            return frozenset()
        return self._make(sources)

    def _write(self, ref: Ref, value: Object | None) -> None:
        known = self._written[_TYPES[ref.kind]]
        known.pop(ref, None)
        if value is not None:
            known[ref] = value

    def _make(self, sources: Sources) -> frozenset[Ref]:
        self._objects, self._services = Asked(sources.objects), Asked(sources.services)
        if not any(self._written.values()) and not self.objects:
            self.statuses, self.findings = maps.same(self.statuses, {}), ()
            return frozenset()
        made = convert(self._inputs(sources.domain))
        found: Iterator[tuple[str, Iterable[Object]]] = iter(
            (
                ("Gateway", made.gateways),
                ("VirtualService", made.virtual_services),
                ("DestinationRule", made.destination_rules),
            )
        )
        before = self.objects
        self.objects = {
            ref: maps.same(before.get(ref), each)
            for kind, all_ in found
            for each in all_
            for ref in (Ref(kind, each.metadata.namespace, each.metadata.name),)
        }
        self.origins = maps.same(self.origins, made.origins)
        statuses = {ref: maps.same(self.statuses.get(ref), each) for ref, each in made.statuses.items()}
        self.statuses = maps.same(self.statuses, statuses)
        self.findings = maps.same(self.findings, made.findings)
        refs = before.keys() | self.objects.keys()
        return frozenset(ref for ref in refs if before.get(ref) is not self.objects.get(ref))

    def _inputs(self, domain: str) -> Inputs:
        routes = (each for kind in (HTTPRoute, GRPCRoute, TLSRoute, TCPRoute) for each in self._of(kind))
        return Inputs(
            classes=self._of(GatewayClass),
            gateways=self._of(Gateway),
            routes=tuple(cast(Iterable[Route], routes)),
            grants=self._of(ReferenceGrant),
            policies=self._of(BackendTLSPolicy),
            services=self._services,
            namespaces=_Through(self._objects, lambda name: Ref("Namespace", "", name), _labels),
            own_services=_Through(self._objects, lambda name: Ref("Service", *name), _own_service),
            certificates=_Everything(),
            authorities=_Everything(),
            domain=domain,
        )

    def _of(self, kind: type[O]) -> tuple[O, ...]:
        return tuple(cast(O, each) for each in self._written[kind].values())


class _Through(Mapping[K, V], Generic[K, V]):
    """Objects by other keys than refs, as something that is read of them."""

    def __init__(
        self, objects: Asked[Ref, Object], ref: Callable[[K], Ref], read: Callable[[Object], V | None]
    ) -> None:
        self._objects, self._ref, self._read = objects, ref, read

    def __getitem__(self, key: K) -> V:
        value = self._read(self._objects[self._ref(key)])
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[K]:
        return iter(self._objects)  # type: ignore[arg-type] # it refuses

    def __len__(self) -> int:
        return len(self._objects)


class _Everything:
    """Contains whatever is asked for."""

    def __contains__(self, _: object) -> bool:
        return True


def _labels(found: Object) -> Mapping[str, str] | None:
    return found.metadata.labels if isinstance(found, Namespace) else None


def _own_service(found: Object) -> CoreService | None:
    return found if isinstance(found, CoreService) else None
