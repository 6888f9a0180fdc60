"""How far an object of configuration has come: whether Pilot knows it, and which proxies hold what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.debug.streams import Sessions, by_proxy, name_of, types_of
from isthmus.discovery.fleet import Fleet
from isthmus.model.build import MeshBuilder
from isthmus.model.proxy import Proxy
from isthmus.translate.touches import concerns
from isthmus.xds.fanout import Fanout
from isthmus.xds.status import State

Json = dict[str, Any]


class Distribution:
    """Answers of a control plane that runs."""

    def __init__(self, fleet: Fleet, builder: MeshBuilder, fanout: Fanout[Proxy]) -> None:
        self._fleet, self._builder, self._fanout = fleet, builder, fanout

    def page(self, query: Mapping[str, str]) -> Json:
        """Where the object that the query names stands. Raises `LookupError` where it names none."""
        missing = [each for each in ("kind", "name") if not query.get(each)]
        if missing:
            raise LookupError(
                f"of which object? (hint: ?kind=VirtualService&namespace=shop&name=cart, not {missing})"
            )
        ref = Ref(query["kind"], query.get("namespace", ""), query["name"])
        cluster = self._builder.mesh.settings.config_cluster
        taken = self._builder.objects.get(cluster, {}).get(ref)
        watcher = self._fleet.watchers().get(cluster)
        fact = watcher.facts().get(ref) if watcher is not None else None
        return {
            "object": str(ref),
            "known": fact is not None or taken is not None,
            "taken": taken is not None,
            "generation": taken.metadata.generation if taken is not None else 0,
            "refused": str(fact) if isinstance(fact, InvalidConfig) else "",
            "proxies": list(self._proxies(ref, taken)),
        }

    def _proxies(self, ref: Ref, taken: Object | None) -> Iterator[Json]:
        """The proxies that it may matter to: itself, or a thing that is made of it; all where neither is known."""
        mesh = self._builder.mesh
        roots = {mesh.settings.root_namespace}
        meant = self._meant(ref)
        for id_, sessions in by_proxy(self._fanout).items():
            subject = sessions[0].conversation.subject
            if taken is None or not meant or any(concerns(each, subject, roots) for each in meant):
                yield {
                    "id": id_,
                    "name": name_of(id_),
                    "cluster": str(sessions[0].node.metadata.get("CLUSTER_ID", "")),
                    **_stands(sessions),
                }

    def _meant(self, ref: Ref) -> list[Object]:
        """The objects by which proxies are told of it: a Gateway or VirtualService of each route, or itself."""
        mesh = self._builder.mesh
        made = [
            made
            for made, origins in mesh.origins.items()
            if ref in {origins.whole.ref, *(origin.ref for _, origin in origins.parts)}
        ]
        return [
            objects[each] for each in made or [ref] for objects in mesh.config.values() if each in objects
        ]


def _stands(sessions: Sessions) -> Json:
    types = types_of(sessions).values()
    rejected = [each for each in types if each.state is State.REJECTED]
    if rejected:
        return {"state": "rejected", "why": f"{rejected[0].name}: {rejected[0].reason}"}
    behind = sorted(each.name for each in types if each.state is State.STALE)
    return (
        {"state": "behind", "why": f"has not answered {', '.join(behind)}"}
        if behind
        else {"state": "holds", "why": ""}
    )
