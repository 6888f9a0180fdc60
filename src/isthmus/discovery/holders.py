"""Which roots and which certificate each proxy holds, as its agent says to Pilot, and which proxies say nothing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from isthmus.kit.scopes import discovery as log
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.shards import TLS_LABEL
from isthmus.model.trust_held import TRUST_TYPE, TrustHeld, decode
from isthmus.xds.session import Session


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy of the mesh. `held` is None where nobody has told what it holds."""

    name: str
    namespace: str
    cluster: str
    connected: bool
    """To this Pilot: of several each proxy talks with one."""
    held: TrustHeld | None = None


def holders(sessions: Iterable[Session[Proxy]], mesh: Mesh) -> list[Holder]:
    """All proxies that are connected, and the pods with a sidecar that are not.

    Only what is said over a stream that shows a certificate is believed, and of several streams the newest.
    """
    found: dict[tuple[str, str, str], Holder] = {}
    for session in sessions:
        proxy = session.conversation.subject
        key = (proxy.cluster, proxy.namespace, proxy.name)
        held = _said(session) or (found[key].held if key in found else None)
        found[key] = _holder(key, connected=True, held=held)
    for workload in mesh.workloads.values():
        key = (workload.cluster, workload.namespace, workload.name)
        if key not in found and (TLS_LABEL, "istio") in workload.labels:
            found[key] = _holder(key, connected=False)
    return [found[key] for key in sorted(found)]


def _holder(key: tuple[str, str, str], *, connected: bool, held: TrustHeld | None = None) -> Holder:
    cluster, namespace, name = key
    return Holder(name=name, namespace=namespace, cluster=cluster, connected=connected, held=held)


def _said(session: Session[Proxy]) -> TrustHeld | None:
    text = session.said.get(TRUST_TYPE)
    if text is None or not session.peer.uris:
        return None
    try:
        return decode(text)
    except ValueError as error:
        log.warning("not understood", proxy=session.node.id, reason=str(error))
        return None
