"""Objects of Istio's kinds that follow from those of the Gateway API and from Ingresses, and what is told of these.

Made anew only when something changed that was looked at while they were made; equal stays the same object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Generic, TypeVar, cast

import msgspec

from isthmus.api.core.ingress import Ingress, IngressClass
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
from isthmus.model import from_ingress, maps
from isthmus.model.asked import Asked
from isthmus.model.credential import Credential, CredentialKey
from isthmus.model.credential_names import Place, asked
from isthmus.model.credential_uses import uses_of
from isthmus.model.findings import Finding
from isthmus.model.from_gateway_api.compile import Remembered
from isthmus.model.from_gateway_api.convert import convert
from isthmus.model.from_gateway_api.inputs import Inputs, Route
from isthmus.model.from_gateway_api.reach import Name, addresses_of
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ServiceKey
from isthmus.model.origins import Origins
from isthmus.model.rules import RUN_IN
from isthmus.model.service import Service

K = TypeVar("K")
V = TypeVar("V")
O = TypeVar("O", bound=Object)  # noqa: E741 - an object of any kind

_TYPES: dict[str, type[Object]] = {kind.ref_kind: kind.type for kind in KINDS} | {
    "Ingress": Ingress,
    "IngressClass": IngressClass,
}


class Sources(msgspec.Struct, frozen=True):
    """What may be looked at: the objects of the cluster with the configuration, and what is known of all clusters."""

    objects: Mapping[Ref, Object]
    services: Mapping[ServiceKey, Service]
    credentials: Mapping[CredentialKey, Credential]
    settings: MeshSettings


class Derived:
    """What was made, and from what."""

    def __init__(self) -> None:
        self.objects: Mapping[Ref, Object] = {}
        self.origins: Mapping[Ref, Origins] = {}
        self.statuses: Mapping[Ref, msgspec.Struct] = {}
        self.grants: frozenset[tuple[str, Ref]] = frozenset()
        self.findings: tuple[Finding, ...] = ()
        self._written: dict[type[Object], dict[Ref, Object]] = defaultdict(dict)
        self._objects: Asked[Ref, Object] = Asked({})
        self._services: Asked[ServiceKey, Service] = Asked({})
        self._credentials: Asked[CredentialKey, Credential] = Asked({})
        self._settings: MeshSettings | None = None
        self._remembered = Remembered()

    @property
    def credentials(self) -> Collection[CredentialKey]:
        """The Secrets and ConfigMaps that were asked for: they are to be followed."""
        return self._credentials.seen.keys()

    def follow(self, changed: Collection[Ref], sources: Sources) -> frozenset[Ref]:
        """Take up that the objects `changed`; returns the refs of made objects that differ now."""
        is_written = False
        for ref in changed:
            if ref.kind in _TYPES:
                is_written = True
                self._write(ref, sources.objects.get(ref))
        stands = (
            self._settings is sources.settings
            and self._objects.stands(sources.objects, changed)
            and self._services.stands(sources.services)
            and self._credentials.stands(sources.credentials)
        )
        return frozenset() if stands and not is_written else self._make(sources)

    def _write(self, ref: Ref, value: Object | None) -> None:
        known = self._written[_TYPES[ref.kind]]
        known.pop(ref, None)
        if value is not None:
            known[ref] = value

    def _make(self, sources: Sources) -> frozenset[Ref]:
        self._objects, self._services = Asked(sources.objects), Asked(sources.services)
        self._credentials, self._settings = Asked(sources.credentials), sources.settings
        if not any(self._written.values()) and not self.objects and not self.statuses:
            return frozenset()
        self._remembered.turn()
        routes = convert(self._gateway_api(), self._remembered)
        ingress = from_ingress.convert(self._ingress())
        before, self.objects = self.objects, {}
        for kind, all_ in (
            ("Gateway", (*routes.gateways, *ingress.gateways)),
            ("VirtualService", (*routes.virtual_services, *ingress.virtual_services)),
            ("DestinationRule", routes.destination_rules),
        ):
            named = {Ref(kind, each.metadata.namespace, each.metadata.name): each for each in all_}
            self.objects |= {ref: maps.same(before.get(ref), each) for ref, each in named.items()}
        self.origins = maps.same(self.origins, {**routes.origins, **ingress.origins})
        told: Mapping[Ref, msgspec.Struct] = {**routes.statuses, **ingress.statuses}
        statuses = {ref: maps.same(self.statuses.get(ref), each) for ref, each in told.items()}
        self.statuses = maps.same(self.statuses, statuses)
        self.findings = maps.same(self.findings, (*routes.findings, *ingress.findings))
        self.grants = maps.same(self.grants, frozenset(self._granted(sources.settings)))
        refs = before.keys() | self.objects.keys()
        return frozenset(ref for ref in refs if before.get(ref) is not self.objects.get(ref))

    def _gateway_api(self) -> Inputs:
        routes = (each for kind in (HTTPRoute, GRPCRoute, TLSRoute, TCPRoute) for each in self._of(kind))
        return Inputs(
            classes=self._of(GatewayClass),
            gateways=self._of(Gateway),
            routes=tuple(cast(Iterable[Route], routes)),
            grants=self._of(ReferenceGrant),
            policies=self._of(BackendTLSPolicy),
            services=self._services,
            namespaces=_Through(self._objects, lambda name: Ref("Namespace", "", name), _labels),
            own_services=self._own_services,
            certificates=_Certificates(self._credentials, self._here),
            authorities=_Authorities(self._credentials, self._here),
            domain=self._here.domain,
        )

    def _ingress(self) -> from_ingress.Inputs:
        """As the mesh configuration has it. Source: Istio's MeshConfig, ingressClass and what follows."""
        settings, written = self._here, self._here.written
        service = written.ingress_service or from_ingress.USUAL_SERVICE
        selector = written.ingress_selector or from_ingress.USUAL_SELECTOR
        mode = written.ingress_controller_mode
        return from_ingress.Inputs(
            ingresses=self._of(Ingress),
            classes=self._of(IngressClass),
            services=self._services,
            certificates=_Certificates(self._credentials, settings),
            addresses=self._addresses_of(service),
            domain=settings.domain,
            gateway_namespace=settings.root_namespace,
            selector={"istio": selector},
            class_name=written.ingress_class or "istio",
            mode="STRICT" if mode == "UNSPECIFIED" else mode,
        )

    def _addresses_of(self, ingress_service: str) -> tuple[str, ...]:
        if not self._written[Ingress]:
            return ()
        found = self._own_services.get((self._here.root_namespace, ingress_service))
        return addresses_of(found, self._here.domain)

    def _granted(self, settings: MeshSettings) -> Iterator[tuple[str, Ref]]:
        """Whose gateways may use which credentials of other namespaces: what has no leave was not made at all."""
        for made in self.objects.values():
            namespace = made.metadata.annotations.get(RUN_IN, made.metadata.namespace)
            place = Place(namespace, settings.config_cluster, settings.config_cluster)
            for use in uses_of(made):
                meant = asked(use.name, place)
                for key in meant.keys if meant is not None else ():
                    if key.ref.namespace != namespace:
                        yield namespace, key.ref

    @property
    def _here(self) -> MeshSettings:
        return self._settings or MeshSettings()

    @property
    def _own_services(self) -> Mapping[tuple[str, str], CoreService]:
        return _Through(self._objects, lambda name: Ref("Service", *name), _own_service)

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


class _Certificates:
    """Secrets with a certificate and its key. Of what nobody follows yet the best is assumed."""

    def __init__(self, credentials: Asked[CredentialKey, Credential], settings: MeshSettings) -> None:
        self._credentials, self._cluster = credentials, settings.config_cluster

    def __contains__(self, name: object) -> bool:
        found = self._credentials.get(CredentialKey(self._cluster, Ref("Secret", *cast(Name, name))))
        return found is None or bool(found.certificate)


class _Authorities:
    """Secrets and ConfigMaps with the certificates of a CA; of what nobody follows yet the best is assumed."""

    def __init__(self, credentials: Asked[CredentialKey, Credential], settings: MeshSettings) -> None:
        self._credentials, self._cluster = credentials, settings.config_cluster

    def __contains__(self, ref: object) -> bool:
        found = self._credentials.get(CredentialKey(self._cluster, cast(Ref, ref)))
        return found is None or bool(found.roots)


def _labels(found: Object) -> Mapping[str, str] | None:
    return found.metadata.labels if isinstance(found, Namespace) else None


def _own_service(found: Object) -> CoreService | None:
    return found if isinstance(found, CoreService) else None
