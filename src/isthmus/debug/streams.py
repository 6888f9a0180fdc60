"""The streams of proxies as those who look see them: one proxy has several, its Envoy's and its agent's."""

from __future__ import annotations

from isthmus.model.proxy import Proxy
from isthmus.translate.types import ENDPOINTS, EXTENSION, LISTENER, NAMES, ROUTES, SECRET, UPSTREAM
from isthmus.xds.fanout import Fanout
from isthmus.xds.session import Session
from isthmus.xds.status import TypeStatus, status_of

SHORT = {
    UPSTREAM: "CDS",
    ENDPOINTS: "EDS",
    LISTENER: "LDS",
    ROUTES: "RDS",
    EXTENSION: "ECDS",
    SECRET: "SDS",
    NAMES: "NDS",
}

Sessions = list[Session[Proxy]]


def by_proxy(fanout: Fanout[Proxy]) -> dict[str, Sessions]:
    """The streams of each proxy, its Envoy's before its agent's, which has no version; of each the oldest first."""
    found: dict[str, Sessions] = {}
    for session in sorted(fanout.sessions, key=lambda each: not each.node.version):
        found.setdefault(session.node.id, []).append(session)
    return found


def types_of(sessions: Sessions) -> dict[str, TypeStatus]:
    """Where a proxy stands with each type that it asks for; where it has several streams for one, the newest counts."""
    return {each.type_url: each for session in sessions for each in status_of(session).types}


def name_of(node_id: str) -> str:
    """`NAME.NAMESPACE` out of a node's id; the id where it is of another form."""
    parts = node_id.split("~")
    return parts[2] if len(parts) == 4 else node_id


def named(fanout: Fanout[Proxy], wanted: str) -> Sessions:
    """The streams of the proxy of this name or id. Raises `LookupError`."""
    everyone = by_proxy(fanout)
    for id_, sessions in everyone.items():
        if wanted and wanted in {id_, name_of(id_)}:
            return sessions
    known = ", ".join(sorted(map(name_of, everyone)))
    raise LookupError(f"no proxy is called {wanted!r} (hint: ?proxyID= one of {known or 'none'})")
