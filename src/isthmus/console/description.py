"""What the mesh makes of a pod or a Service: services, rules, policies, terms, gateways, in all clusters."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.resource import Object, Ref
from isthmus.console.calls import WrongCall
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.console.named_pods import workload_named
from isthmus.model.endpoint import Health
from isthmus.model.names import ServiceKey, resolve
from isthmus.model.peer_authentications import PeerAuthentications, decided
from isthmus.model.proxy import Proxy
from isthmus.model.rules import virtual_services_by_host
from isthmus.model.service import Service
from isthmus.model.workload import Workload
from isthmus.translate.touches import concerns

_OF_PROXIES = (Sidecar, AuthorizationPolicy, RequestAuthentication, Telemetry, EnvoyFilter, WasmPlugin)


class PortDescribed(msgspec.Struct, frozen=True):
    """A port: of a service, or where a pod is called."""

    number: int
    name: str
    protocol: str


class ServiceDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """A service as the whole mesh has it."""

    hostname: str
    namespace: str
    ports: tuple[PortDescribed, ...]
    endpoints: dict[str, str]
    """By cluster: how many are well, of how many."""
    virtual_services: tuple[str, ...]
    destination_rules: tuple[str, ...]
    gateways: tuple[str, ...]


class PortTerms(msgspec.Struct, frozen=True):
    """On which terms a pod may be called at a port, and which object says so."""

    port: int
    mode: str
    by: str


class PodDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as the mesh has it."""

    name: str
    namespace: str
    cluster: str
    network: str
    locality: str
    identity: str
    sidecar: str
    revision: str
    services: tuple[ServiceDescribed, ...]
    terms: tuple[PortTerms, ...]
    policies: tuple[str, ...]


class Describer:
    """Describes what is in one mesh."""

    def __init__(self, drawn: DrawnMesh) -> None:
        self._drawn, self._mesh = drawn, drawn.generation.mesh

    def pod(self, name: str, cluster: str = "") -> PodDescribed:
        """The pod of this name, or of this beginning of one. Raises `WrongCall`."""
        workload = workload_named(self._mesh, name, cluster)
        proxy = FromFiles(self._drawn).proxy(workload)
        written = self._drawn.objects.get(workload.cluster, {}).get(
            Ref("Pod", workload.namespace, workload.name)
        )
        keys = dict.fromkeys(each.service for each in workload.serves)
        return PodDescribed(
            name=workload.name,
            namespace=workload.namespace,
            cluster=workload.cluster,
            network=workload.network,
            locality=str(workload.locality),
            identity=str(workload.identity),
            sidecar=_sidecar(written),
            revision=dict(workload.labels).get("istio.io/rev", ""),
            services=tuple(
                self._service(self._mesh.services[key]) for key in keys if key in self._mesh.services
            ),
            terms=tuple(self._terms(workload)),
            policies=tuple(self._policies(proxy)),
        )

    def service(self, name: str) -> ServiceDescribed:
        """The service `NAME`, `NAME.NAMESPACE`, `NAMESPACE/NAME`, or of this hostname. Raises `WrongCall`."""
        space, slash, short = name.rpartition("/")
        wanted = f"{short}.{space}" if slash else name
        for key in sorted(self._mesh.services, key=lambda each: (each.namespace != "default", each)):
            if key.hostname == wanted or wanted in {key.name, f"{key.name}.{key.namespace}"}:
                return self._service(self._mesh.services[key])
        known = ", ".join(sorted(f"{key.name}.{key.namespace}" for key in self._mesh.services)[:8])
        raise WrongCall(f"no service is called {name} (hint: there are {known or 'none'})")

    def _service(self, service: Service) -> ServiceDescribed:
        claims = virtual_services_by_host(self._mesh.of(VirtualService), self._mesh.settings.domain)
        rules = [_rule(each) for each in claims.get(service.key.hostname, ())]
        rules += [_rule(each) for each in self._leading_to(service.key) if _rule(each) not in rules]
        return ServiceDescribed(
            hostname=service.key.hostname,
            namespace=service.key.namespace,
            ports=tuple(PortDescribed(each.number, each.name, each.protocol.value) for each in service.ports),
            endpoints=dict(self._endpoints(service.key)),
            virtual_services=tuple(rules),
            destination_rules=tuple(self._destination_rules(service.key)),
            gateways=tuple(dict.fromkeys(self._gateways(service.key))),
        )

    def _endpoints(self, key: ServiceKey) -> Iterator[tuple[str, str]]:
        for cluster, shard in sorted(self._mesh.shards.get(key, {}).items()):
            well = sum(each.health is Health.HEALTHY for each in shard.endpoints)
            yield cluster, f"{well} of {len(shard.endpoints)}"

    def _leading_to(self, key: ServiceKey) -> Iterator[VirtualService]:
        for each in self._mesh.of(VirtualService):
            if key.hostname in {self._host(one.host, each) for one in each.spec.destinations()}:
                yield each

    def _destination_rules(self, key: ServiceKey) -> Iterator[str]:
        for each in self._mesh.of(DestinationRule):
            if self._host(each.spec.host, each) == key.hostname:
                subsets = ", ".join(one.name for one in each.spec.subsets)
                yield f"{_name(each)}{f' (subsets {subsets})' if subsets else ''}"

    def _gateways(self, key: ServiceKey) -> Iterator[str]:
        """The Gateways by which callers from outside come to it."""
        known = {(each.metadata.namespace, each.metadata.name) for each in self._mesh.of(GatewayConfig)}
        for each in self._leading_to(key):
            for said in each.spec.gateways:
                namespace, slash, name = said.rpartition("/")
                at = (namespace if slash else each.metadata.namespace, name)
                if at in known:
                    yield f"{at[0]}/{at[1]} by VirtualService {_name(each)}"

    def _host(self, said: str, found: Object) -> str:
        return resolve(said, found.metadata.namespace, self._mesh.settings.domain)

    def _terms(self, workload: Workload) -> Iterator[PortTerms]:
        peers = PeerAuthentications(self._mesh.of(PeerAuthentication), self._mesh.settings.root_namespace)
        scopes = peers.scopes(workload.namespace, workload.labels)
        for port in sorted({each.target_port for each in workload.serves}):
            found = decided(scopes, port)
            by = (
                f"PeerAuthentication {_name(found.by)}"
                if found.by is not None
                else "nobody, so it is as usual"
            )
            yield PortTerms(port, str(found.mode), by)

    def _policies(self, proxy: Proxy) -> Iterator[str]:
        roots = {self._mesh.settings.root_namespace}
        for kind in _OF_PROXIES:
            for each in self._mesh.of(kind):
                if concerns(each, proxy, roots):
                    more = f" ({each.spec.action})" if isinstance(each, AuthorizationPolicy) else ""
                    yield f"{kind.__name__} {_name(each)}{more}"


def _sidecar(written: Object | None) -> str:
    if not isinstance(written, Pod):
        return "unknown: the pod is drawn of its workload"
    if any(each.name == "istio-proxy" for each in written.spec.init_containers):
        return "native (an init container that stays)"
    return "in the pod" if written.spec.has_proxy else "none: the pod is called, and calls, without the mesh"


def _rule(found: VirtualService) -> str:
    gateways = ", ".join(each for each in found.spec.gateways if each != "mesh")
    return f"{_name(found)}{f' (gateways {gateways})' if gateways else ''}"


def _name(found: Object) -> str:
    return f"{found.metadata.namespace}/{found.metadata.name}"


def text_of_pod(found: PodDescribed) -> str:
    """As people read it."""
    lines = [
        f"Pod: {found.name}.{found.namespace} in {found.cluster}",
        f"   Identity: {found.identity}",
        f"   Sidecar: {found.sidecar}",
    ]
    for word, value in (
        ("Revision", found.revision),
        ("Network", found.network),
        ("Locality", found.locality),
    ):
        lines += [f"   {word}: {value}"] if value else []
    for each in found.services:
        lines += ["", text_of_service(each)]
    if not found.services:
        lines += ["", "No service leads to it (hint: a Service's selector and ports decide)"]
    lines += ["", *(f"Port {each.port}: mTLS {each.mode}, by {each.by}" for each in found.terms)]
    return "\n".join([*lines, *(f"Holds: {each}" for each in found.policies)]).rstrip()


def text_of_service(found: ServiceDescribed) -> str:
    """As people read it."""
    lines = [f"Service: {found.hostname}"]
    lines += [f"   Port: {each.name or '-'} {each.number}/{each.protocol}" for each in found.ports]
    lines += [f"   Endpoints: {well} well in {cluster}" for cluster, well in found.endpoints.items()]
    lines += [] if found.endpoints else ["   Endpoints: none in any cluster"]
    lines += [f"   DestinationRule: {each}" for each in found.destination_rules]
    lines += [f"   VirtualService: {each}" for each in found.virtual_services]
    return "\n".join([*lines, *(f"   Exposed by Gateway: {each}" for each in found.gateways)])
