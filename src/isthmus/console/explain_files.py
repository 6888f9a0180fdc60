"""What `isthmus explain` knows of a mesh that is drawn: proxies hold what would be made for them."""

from __future__ import annotations

from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.resource import Ref
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.workload import Workload
from isthmus.translate.trace.held import Held, made_for


class FromFiles:
    """Satisfies `explain_source.Source`."""

    def __init__(self, drawn: DrawnMesh) -> None:
        self._drawn = drawn
        self.mesh: Mesh = drawn.generation.mesh

    @property
    def notes(self) -> tuple[str, ...]:
        """What was made up, and what is wrong in the objects, as far as proxies were asked for."""
        generation = self._drawn.generation
        found = dict.fromkeys(str(each) for each in (*generation.mesh.findings, *generation.findings))
        return (*self._drawn.notes, *found)

    def proxy(self, workload: Workload) -> Proxy:
        """A gateway where a Gateway selects the pod, else a sidecar."""
        return proxy_of(workload, kind_of_proxy(self.mesh, workload))

    def held(self, workload: Workload) -> Held | None:
        """What its proxy would be sent."""
        return made_for(self._drawn.generation, self.proxy(workload))

    def place(self, ref: Ref, path: str) -> str:
        """`file:line` of a part of an object."""
        place = self._drawn.place_of(ref)
        return f"{place.file}:{place.line(path)}" if place is not None and place.file else ""


def proxy_of(workload: Workload, kind: ProxyKind) -> Proxy:
    """The proxy of a pod, as it would say of itself."""
    return Proxy(
        kind=kind,
        address=workload.address,
        metadata=(("INSTANCE_IPS", ",".join((workload.address, *workload.also))),),
        name=workload.name,
        namespace=workload.namespace,
        cluster=workload.cluster,
        network=workload.network,
        node=workload.node,
        labels=workload.labels,
        locality=workload.locality,
        service_account=workload.identity.service_account,
    )


def kind_of_proxy(mesh: Mesh, workload: Workload) -> ProxyKind:
    """A router where a Gateway selects the pod, else a sidecar."""
    labels = dict(workload.labels).items()
    selectors = (each.spec.selector.items() for each in mesh.of(GatewayConfig))
    return ProxyKind.ROUTER if any(each and each <= labels for each in selectors) else ProxyKind.SIDECAR
