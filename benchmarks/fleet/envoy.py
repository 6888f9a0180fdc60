"""One simulated Envoy: what it asks for, what it holds, what it answers. No sockets here.

As Envoy does: all clusters at first, endpoints by the names that clusters give, then all listeners, and routes by the
names that listeners give; what is named later is subscribed to then, what is gone is not asked for any more. Each
response is accepted. On another stream it asks for all of that at once and says which versions it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.fleet.resources import Held, Reader, Resource, Response

from isthmus.envoy.types import DeltaDiscoveryRequest, Node
from isthmus.kit.protobuf import field
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES

TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
_TYPE_URL, _SUBSCRIBE, _UNSUBSCRIBE, _NONCE = 2, 3, 4, 6  # of DeltaDiscoveryRequest
_EXTENSIONS, _EXTENSION = 490, "envoy.extensions.filters.http.made_up_{}.v3.MadeUpFilterOfThatNumber"


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a proxy says that it is."""

    name: str
    namespace: str
    address: str
    cluster: str = "Kubernetes"
    labels: tuple[tuple[str, str], ...] = ()
    extensions: int = _EXTENSIONS
    """Entries of what Envoy can do: Envoy's own are some 490, and make its first request 58 KB."""

    def node(self) -> Node:
        """Envoy's word for it."""
        domain = f"{self.namespace}.svc.cluster.local"
        node = Node(id=f"sidecar~{self.address}~{self.name}.{self.namespace}~{domain}", cluster=self.name)
        node.metadata.update(
            {
                "CLUSTER_ID": self.cluster,
                "NAMESPACE": self.namespace,
                "SERVICE_ACCOUNT": "default",
                "INSTANCE_IPS": self.address,
                "ISTIO_VERSION": "1.29.0",
                "LABELS": dict(self.labels),
                "INTERCEPTION_MODE": "REDIRECT",
            }
        )
        node.user_agent_name = "envoy"
        for number in range(self.extensions):
            name = _EXTENSION.format(number)
            node.extensions.add(name=name, category="envoy.filters.http", type_urls=[name])
        return node


class Envoy:
    """One proxy. `routes` are the route configurations that it asks for whatever its listeners say."""

    def __init__(self, who: Who, reader: Reader, routes: Iterable[str] = ()) -> None:
        self.who, self._reader, self._fixed = who, reader, frozenset(routes)
        self.held = {each: Held() for each in TYPES}
        self.news: list[str] = []
        """Marks that have come in place of others; whoever counts them takes them away."""
        self._begin()

    def _begin(self) -> None:
        self._heard: set[str] = set()
        self._asked: set[str] = set()
        self._routes: frozenset[str] = frozenset()
        self._clusters_with_endpoints = sum(bool(each.refers) for each in self.held[CLUSTER].all().values())

    def first(self) -> list[bytes]:
        """What it says on a new stream: a node and all clusters, or all that it holds, too."""
        had = {each: held.all() for each, held in self.held.items() if held.size}
        self._begin()
        request = DeltaDiscoveryRequest(node=self.who.node(), type_url=CLUSTER)
        self._asked.add(CLUSTER)
        if not had:
            return [request.SerializeToString()]
        request.initial_resource_versions.update(_versions(had.get(CLUSTER, {})))
        said = [request.SerializeToString()]
        self._heard.update(TYPES)  # a server that has nothing else says nothing
        for type_url in TYPES[1:]:
            self._asked.add(type_url)
            held = had.get(type_url, {})
            names: Iterable[str] = ()
            if type_url == ENDPOINTS:
                names = sorted({name for each in had[CLUSTER].values() for name in each.refers})
            elif type_url == ROUTES:
                names = self._routes = self._wanted_routes()
            again = DeltaDiscoveryRequest(
                type_url=type_url,
                resource_names_subscribe=sorted(names),
                initial_resource_versions=_versions(held),
            )
            said.append(again.SerializeToString())
        return said

    def take(self, message: bytes, received: Callable[[Response], None]) -> list[bytes]:
        """What it answers: that it accepts, and what it asks for because of it."""
        response = self._reader.response(message)
        url = response.type_url
        held = self.held[url]
        for each in response.resources:
            if each.marks and (was := held.get(each.name)) is not None:
                self.news += each.marks - was.marks
        asks: list[bytes] = []
        if url == CLUSTER:
            asks = self._clusters(response)
        elif url == LISTENER:
            held.update(response.resources, response.removed)
        else:
            # What was on its way when it was not asked for any more, Envoy does not take.
            held.update(
                [each for each in response.resources if self._wants(url, each.name)], response.removed
            )
        self._heard.add(url)
        if url == ENDPOINTS and LISTENER not in self._asked:
            asks.append(self._ask(LISTENER))
        elif url == LISTENER:
            asks += self._listeners()
        received(response)
        return [acknowledgement(url, response.nonce), *asks]

    @property
    def is_whole(self) -> bool:
        """Whether it has what it asked for, each name of it: from its stream, or from the one before."""
        return (
            len(self._heard) >= len(TYPES)
            and self.held[ENDPOINTS].size >= self._clusters_with_endpoints
            and self.held[ROUTES].size >= len(self._routes)
        )

    def _clusters(self, response: Response) -> list[bytes]:
        held = self.held[CLUSTER]
        before = [each for name in response.removed if (each := held.get(name))]
        before += [was for each in response.resources if (was := held.get(each.name))]
        held.update(response.resources, response.removed)
        self._clusters_with_endpoints += sum(bool(each.refers) for each in response.resources)
        self._clusters_with_endpoints -= sum(bool(each.refers) for each in before)
        had, has = _referred(before), _referred(response.resources)
        new, gone = sorted(has - had), sorted(had - has)
        self.held[ENDPOINTS].update((), [name for name in gone if self.held[ENDPOINTS].get(name)])
        first = ENDPOINTS not in self._asked
        if not new and not gone:
            # Without clusters that have endpoints Envoy goes straight on to listeners.
            return [self._ask(LISTENER)] if first and LISTENER not in self._asked else []
        return [self._ask(ENDPOINTS, new, gone)]

    def _listeners(self) -> list[bytes]:
        wanted, had = self._wanted_routes(), self._routes
        if wanted == had:
            return []
        self._routes = wanted
        self.held[ROUTES].update((), [name for name in had - wanted if self.held[ROUTES].get(name)])
        return [self._ask(ROUTES, sorted(wanted - had), sorted(had - wanted))]

    def _wants(self, type_url: str, name: str) -> bool:
        if type_url == ROUTES:
            return name in self._routes
        clusters = self.held[CLUSTER]
        same = clusters.get(name)  # clusters and their endpoints mostly have one name
        return (same is not None and name in same.refers) or name in _referred(clusters.all().values())

    def _wanted_routes(self) -> frozenset[str]:
        if self._fixed:
            return self._fixed
        return frozenset(_referred(self.held[LISTENER].all().values()))

    def _ask(self, type_url: str, new: Iterable[str] = (), gone: Iterable[str] = ()) -> bytes:
        self._asked.add(type_url)
        return b"".join(
            (
                field(_TYPE_URL, type_url.encode()),
                *(field(_SUBSCRIBE, name.encode()) for name in new),
                *(field(_UNSUBSCRIBE, name.encode()) for name in gone),
            )
        )


def acknowledgement(type_url: str, nonce: str | bytes) -> bytes:
    """A serialised DeltaDiscoveryRequest that accepts `nonce`."""
    said = nonce.encode() if isinstance(nonce, str) else nonce
    return field(_TYPE_URL, type_url.encode()) + field(_NONCE, said)


def _referred(resources: Iterable[Resource]) -> set[str]:
    return {name for each in resources for name in each.refers}


def _versions(held: Mapping[str, Resource]) -> dict[str, str]:
    return {name: each.version for name, each in held.items()}
