"""Why a call is sent as it is, and taken as it is: the DestinationRule's TLS, the Sidecar's ingress."""

from __future__ import annotations

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.resource import Ref
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Asked, Origin
from isthmus.model.scope import Views
from isthmus.model.workload import Workload
from isthmus.translate.names import UpstreamName
from isthmus.translate.trace.steps import Trace, UpstreamShare
from isthmus.translate.upstream_policy import tls_place

_MODES = {"mutual": "mutual TLS", "tls": "TLS", "plain": "plain text"}


def asked(source: Source, found: Trace) -> dict[str, Asked]:
    """How each upstream of the mesh is spoken to, by its name, and why."""
    return {
        one.name: said
        for _, one in found.forwards
        if one.exists and (said := _asked(source, one)) is not None
    }


def _asked(source: Source, upstream: UpstreamShare) -> Asked | None:
    by = _tls_of(source, upstream)
    if upstream.is_automatic:
        return Asked(mode="mutual TLS", why="automatic, where an endpoint has a sidecar")
    if by is not None:
        modes = dict.fromkeys(_MODES.get(one.tls.mode, one.tls.mode) for one in upstream.endpoints)
        return Asked(mode=" or ".join(modes) or "TLS settings", by=by)
    if UpstreamName.parse(upstream.name) and any(one.tls.mode == "mutual" for one in upstream.endpoints):
        return Asked(mode="mutual TLS", why="automatic, for all its endpoints have sidecars")
    return None


def _tls_of(source: Source, upstream: UpstreamShare) -> Origin | None:
    """The DestinationRule's part that says how TLS is spoken to it."""
    name = UpstreamName.parse(upstream.name)
    namespace, _, of = upstream.config.partition("/")
    ref = Ref("DestinationRule", namespace, of)
    rule = source.mesh.config.get("DestinationRule", {}).get(ref)
    if name is None or not isinstance(rule, DestinationRule):
        return None
    path = tls_place(rule, name.subset, name.port)
    return _origin(source, ref, path) if path else None


def let_in_by(source: Source, workload: Workload, port: int) -> Origin | None:
    """The ingress of a Sidecar by which calls to this port of the workload are let in; None where none says."""
    if not source.mesh.of(Sidecar):
        return None
    sidecar = Views().view(source.mesh, source.proxy(workload)).sidecar
    for number, each in enumerate(sidecar.spec.ingress if sidecar else ()):
        if sidecar is not None and each.port.number == port:
            meta = sidecar.metadata
            return _origin(source, Ref("Sidecar", meta.namespace, meta.name), f"$.spec.ingress[{number}]")
    return None


def _origin(source: Source, ref: Ref, path: str) -> Origin:
    ref, path = source.mesh.origin(ref, path)
    place = source.place(ref, path.removeprefix("$").removeprefix("."))
    return Origin(object=str(ref), entry=path.removeprefix("$").removeprefix(".spec."), place=place)
