"""Why a call is sent as it is, and taken as it is: a DestinationRule's TLS; a Sidecar's ingress, a Gateway's server."""

from __future__ import annotations

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.resource import Ref
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Asked, Origin
from isthmus.model.names import Hostname, host_matches
from isthmus.model.peer_authentications import PeerAuthentications, decided, ref_of
from isthmus.model.proxy import ProxyKind
from isthmus.model.scope import Views
from isthmus.model.workload import Workload
from isthmus.translate.gateway_servers import Opened, Speech, opened, side_by_side
from isthmus.translate.names import Direction, UpstreamName
from isthmus.translate.trace.call import Call
from isthmus.translate.trace.routing import without_port
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
        return Asked(mode="mutual TLS", why="automatic, where an endpoint takes it")
    if by is not None:
        modes = dict.fromkeys(_MODES.get(one.tls.mode, one.tls.mode) for one in upstream.endpoints)
        return Asked(mode=" or ".join(modes) or "TLS settings", by=by)
    name = UpstreamName.parse(upstream.name)
    if name is not None and any(one.tls.mode == "mutual" for one in upstream.endpoints):
        return Asked(mode="mutual TLS", why="automatic, for all its endpoints take it")
    if name is not None and name.direction is Direction.OUTBOUND_UDP:
        return Asked(mode="plain text", why="a tunnel for datagrams needs a sidecar at every endpoint")
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
    return origin(source, ref, path) if path else None


def let_in_by(source: Source, workload: Workload, call: Call) -> Origin | None:
    """What lets such a call into the workload: a Sidecar's ingress, at a gateway a Gateway's server; None: no word."""
    mesh, proxy = source.mesh, source.proxy(workload)
    if proxy.kind is ProxyKind.SIDECAR and not mesh.of(Sidecar):
        return None
    view = Views().view(mesh, proxy)
    if proxy.kind is ProxyKind.SIDECAR:
        return _ingress(source, view.sidecar, call.port)
    server = _server(opened(view, workload), call)
    if server is None:
        return None
    meta = server.config.metadata
    return origin(source, Ref("Gateway", meta.namespace, meta.name), f"$.spec.servers[{server.number}]")


def terms_at(source: Source, workload: Workload, port: int) -> tuple[str, Origin | None]:
    """On which terms callers of a workload's port come, and the PeerAuthentication that says it; None: nobody does."""
    mesh = source.mesh
    if source.proxy(workload).kind is not ProxyKind.SIDECAR:
        return "", None
    peers = PeerAuthentications(mesh.of(PeerAuthentication), mesh.settings.root_namespace)
    found = decided(peers.scopes(workload.namespace, workload.labels), port)
    return found.mode, origin(source, ref_of(found.by), found.path) if found.by is not None else None


def _ingress(source: Source, sidecar: Sidecar | None, port: int) -> Origin | None:
    for number, each in enumerate(sidecar.spec.ingress if sidecar else ()):
        if sidecar is not None and each.port.number == port:
            meta = sidecar.metadata
            return origin(source, Ref("Sidecar", meta.namespace, meta.name), f"$.spec.ingress[{number}]")
    return None


def _server(servers: list[Opened], call: Call) -> Opened | None:
    """The server that is the nearest to what a call says of itself; of several as near the first."""
    host = without_port(call.request.host) if call.request is not None else ""
    sni = call.hello.sni if call.hello is not None else host
    best: tuple[int, Opened] | None = None
    for one in (each for group in side_by_side(servers) for each in group if each.port == call.port):
        name = (sni if one.speech is Speech.TLS else host).lower()
        near = max((_nearness(each.rpartition("/")[2].lower(), name) for each in one.server.hosts), default=1)
        if near and (best is None or near > best[0]):
            best = (near, one)
    return best[1] if best else None


def _nearness(pattern: str, name: str) -> int:
    """How much of a name a server's host says, and one; 0 where it is for others."""
    if pattern == "*" or not name:
        return 1
    return 1 + len(pattern) + (pattern == name) if host_matches(pattern, Hostname(name)) else 0


def origin(source: Source, ref: Ref, path: str) -> Origin:
    ref, path = source.mesh.origin(ref, path)
    place = source.place(ref, path.removeprefix("$").removeprefix("."))
    return Origin(object=str(ref), entry=path.removeprefix("$").removeprefix(".spec."), place=place)
