"""Translation of files: YAML as people write it in, Envoy's resources out. No cluster, no network.

A case is a stream of documents. The first may be a `Case`: for which proxy, and what to show. A document
`kind: Cluster` says to which cluster the objects after it belong. A Service whose EndpointSlices are not
written gets them from the Pods that its selector finds, as its cluster would make them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from isthmus.api import kind_of
from isthmus.api.core.endpoint_slice import (
    SERVICE_NAME,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    SliceEndpoint,
    TargetRef,
)
from isthmus.api.core.pod import Pod
from isthmus.api.core.service import Service
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Meta, Object, Ref
from isthmus.api.yaml import documents
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey, Refused, refused
from isthmus.model.codes import code_of_problem
from isthmus.model.endpoint import Locality
from isthmus.model.findings import Finding
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, NetworkId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Generation, Translator
from isthmus.translate.types import ENDPOINTS, EXTENSION, LISTENER, NAMES, ROUTES, SECRET, UPSTREAM

Show = dict[str, dict[str, list[str]]]
"""What to show: by part (`upstreams`, `endpoints`, …) and pattern of names, the paths of fields; none: all."""


PARTS = {
    "upstreams": UPSTREAM,
    "endpoints": ENDPOINTS,
    "listeners": LISTENER,
    "routes": ROUTES,
    "extensions": EXTENSION,
    "names": NAMES,
    "secrets": SECRET,
}
"""The types of resources, as a case speaks of them."""


_USUAL = ("upstreams", "endpoints", "listeners", "routes")


class ProxySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxy that is asked for."""

    cluster: str = ""
    kind: str = "sidecar"
    address: str = "127.0.0.1"
    name: str = "proxy"
    namespace: str = "default"
    labels: dict[str, str] = {}
    locality: str = ""  # region/zone/subzone
    network: str = ""
    node: str = ""
    version: str = ""
    metadata: dict[str, str] = {}
    config: dict[str, object] = {}  # what its pod says of it


class CaseSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first document of a case."""

    kind: str = "Case"
    about: str = ""
    proxy: ProxySpec = ProxySpec()
    show: Show = msgspec.field(default_factory=lambda: {part: {} for part in _USUAL})
    settings: dict[str, object] = {}  # of the mesh, by field


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case, read: objects by cluster, and for whom they are to be translated."""

    spec: CaseSpec
    changes: tuple[Change, ...]
    settings: MeshSettings
    proxy: Proxy

    def generation(self) -> Generation:
        """The first generation of a mesh that has all of the case's objects."""
        step = MeshBuilder(self.settings).apply(self.changes)
        return Translator().generation(step.mesh, step.delta)


def read_case(text: str) -> Case:
    """The case in `text`. Raises `InvalidConfig`, its path starting with the line of the document."""
    spec, cluster = CaseSpec(), ClusterId("")
    objects: dict[ClusterId, dict[Ref, Object | Finding | Refused]] = {}
    for line, document, _ in documents(text):
        if not isinstance(document, Mapping):
            raise InvalidConfig(f"line {line}", "is no object")
        match document.get("kind"):
            case "Case":
                spec = _spec(line, document)
            case "Expect":
                continue
            case "Cluster":
                cluster = ClusterId(_cluster_name(line, document))
                objects.setdefault(cluster, {})
            case _:
                ref, found = _object(line, document)
                objects.setdefault(cluster, {})[ref] = found
    config = next(iter(objects), ClusterId(""))
    settings = msgspec.convert({"config_cluster": config, **spec.settings}, MeshSettings)
    changes = [change for name, found in objects.items() for change in _changes(name, found)]
    return Case(spec=spec, changes=tuple(changes), settings=settings, proxy=proxy_said(spec.proxy, config))


def _spec(line: int, document: Mapping[str, object]) -> CaseSpec:
    try:
        return msgspec.convert(document, CaseSpec)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"line {line}", str(error)) from error


def _cluster_name(line: int, document: Mapping[str, object]) -> str:
    meta = document.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InvalidConfig(f"line {line}", "a Cluster needs metadata.name")
    return name


def _object(line: int, document: Mapping[str, object]) -> tuple[Ref, Object | Finding | Refused]:
    """An object, or what is wrong with it. Raises `InvalidConfig` where it cannot even be named."""
    kind = kind_of(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    meta = dict(cast(Mapping[str, object], document.get("metadata") or {}))
    if kind.namespaced:
        meta.setdefault("namespace", "default")
    ref = Ref(kind.ref_kind, str(meta.get("namespace", "")), str(meta.get("name", "")))
    try:
        return ref, decode(kind, {**document, "metadata": meta})
    except InvalidConfig as error:
        finding = Finding(
            ref=ref,
            path=f"line {line}: {error.path}",
            message=error.message,
            code=code_of_problem(error.path, error.message),
        )
        return ref, refused(finding, error.instead)


def _changes(cluster: ClusterId, objects: Mapping[Ref, Object | Finding | Refused]) -> Iterator[Change]:
    for ref, found in objects.items():
        yield Change(ChangeKey(cluster, ref), found)
    sliced = {
        (ref.namespace, found.service_name)
        for ref, found in objects.items()
        if isinstance(found, EndpointSlice)
    }
    pods = [found for found in objects.values() if isinstance(found, Pod)]
    for ref, found in objects.items():
        if isinstance(found, Service) and found.spec.selector and (ref.namespace, ref.name) not in sliced:
            for made in _slices(found, pods):
                key = Ref("EndpointSlice", ref.namespace, made.metadata.name)
                yield Change(ChangeKey(cluster, key), made)


def _slices(service: Service, pods: list[Pod]) -> Iterator[EndpointSlice]:
    """The slices that a cluster would make: pods on which the ports have other numbers are in slices of their own."""
    namespace, selector = service.metadata.namespace, service.spec.selector or {}
    behind: dict[tuple[EndpointPort, ...], list[Pod]] = {}
    for pod in pods:
        is_meant = pod.metadata.namespace == namespace and selector.items() <= pod.metadata.labels.items()
        if is_meant and pod.status.pod_ip:
            behind.setdefault(tuple(_ports(service, pod)), []).append(pod)
    for number, (ports, several) in enumerate(behind.items()):
        yield _slice(service, f"{service.metadata.name}-{number}", ports, several)


def _slice(service: Service, name: str, ports: tuple[EndpointPort, ...], pods: list[Pod]) -> EndpointSlice:
    namespace = service.metadata.namespace
    return EndpointSlice(
        metadata=Meta(name=name, namespace=namespace, labels={SERVICE_NAME: service.metadata.name}),
        endpoints=tuple(
            SliceEndpoint(
                addresses=(pod.status.pod_ip,),
                conditions=EndpointConditions(ready=True),
                target_ref=TargetRef("Pod", pod.metadata.name, namespace),
                node_name=pod.spec.node_name or None,
            )
            for pod in pods
        ),
        ports=ports,
    )


def _ports(service: Service, pod: Pod) -> Iterator[EndpointPort]:
    """Where the pod serves each port; a port whose name the pod does not have is left out."""
    for port in service.spec.ports:
        target = port.target_port or port.port
        number = pod.spec.port_called(target, port.protocol) if isinstance(target, str) else target
        if number:
            yield EndpointPort(port.name, number, port.protocol)


def proxy_said(spec: ProxySpec, config: ClusterId) -> Proxy:
    """The proxy as it would come; where it does not say its cluster, it is of that of the configuration."""
    region, zone, subzone = (*spec.locality.split("/"), "", "", "")[:3]
    return Proxy(
        kind=ProxyKind(spec.kind),
        address=spec.address,
        name=spec.name,
        namespace=spec.namespace,
        cluster=ClusterId(spec.cluster) or config,
        network=NetworkId(spec.network),
        node=spec.node,
        labels=tuple(sorted(spec.labels.items())),
        locality=Locality(region, zone, subzone),
        version=spec.version,
        proven=True,
        metadata=tuple(sorted(spec.metadata.items())),
        config=msgspec.json.encode(spec.config, order="sorted").decode() if spec.config else "",
    )
