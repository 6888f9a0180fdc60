"""The objects as they are in the API server, and what changes in them; it knows what proxies must come to hold."""

from __future__ import annotations

import base64
from functools import partial
from itertools import count

from benchmarks.fleet.envoy import Who
from benchmarks.fleet.resources import meaning
from benchmarks.istiod import objects
from benchmarks.istiod.api_server import ApiServer
from benchmarks.istiod.objects import PER_NAMESPACE, TARGET, Json, Size

from isthmus.api.crd import custom_resource_definitions

ADDED = "added"
"""The namespace that comes and goes."""
_MERGE = "application/merge-patch+json"
_API = "outbound|443||kubernetes.default.svc.cluster.local"
"""The Service of the API server, which has no endpoints here."""
_SECRET = "istio-remote-secret-east"


class World:
    """One cluster of `size`, in `server`."""

    def __init__(self, server: ApiServer, size: Size) -> None:
        self.server, self.size = server, size
        self._marks = count(1)
        self._turn = count()
        self._blocks = count()
        self._pods = {
            each.address: each.name for i in range(size.proxies) for each in (objects.who(size, i, ""),)
        }
        self.addresses = {
            number: tuple(objects.address(number, endpoint) for endpoint in range(size.endpoints))
            for number in range(size.services)
        }

    def write(self) -> None:
        """All objects of the beginning."""
        size, server = self.size, self.server
        server.all([partial(self._put, each) for each in custom_resource_definitions()])
        names = [objects.ROOT_NAMESPACE, *(f"ns-{n}" for n in range(size.namespaces))]
        server.all([partial(self._put, objects.namespace(name)) for name in names])
        server.all([partial(self._put, objects.service(n)) for n in self.addresses])
        server.all([partial(self._put, self._slice(n)) for n in self.addresses])
        server.all([partial(self._write_pod, n) for n in range(size.proxies)])
        self._put(objects.mesh_config("marker-0"))
        if size.scoped:
            server.all([partial(self._put, objects.sidecar(f"ns-{n}")) for n in range(size.namespaces)])
        self._put(objects.virtual_service(0, "marker-0"))

    def token(self, account: str) -> str:
        """A token by which a part of the control plane shows Citadel who it is."""
        meta = {"name": account, "namespace": objects.ROOT_NAMESPACE}
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        self._put(made)
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": ["istio-ca"], "expirationSeconds": 86_400},
        }
        answer = self.server.ask("POST", f"{objects.collection(made)}/{account}/token", asked)
        return str(answer["status"]["token"])

    def proxies(self, cluster: str) -> list[Who]:
        """Who comes."""
        return [objects.who(self.size, number, cluster) for number in range(self.size.proxies)]

    def sees(self, proxy: int, service: int) -> bool:
        """Whether a proxy is told of a service."""
        own = objects.namespace_of(proxy % self.size.services)
        return not self.size.scoped or own == objects.namespace_of(service)

    def seen_by(self, service: int, without: frozenset[int] = frozenset()) -> int:
        """How many proxies are told of a service."""
        return sum(self.sees(each, service) for each in range(self.size.proxies) if each not in without)

    def next_service(self) -> int:
        """One after the other, those of a namespace far from each other."""
        return next(self._turn) * 7 % self.size.services

    def churn(self, service: int) -> str:
        """Its last endpoint moves: the mark of it."""
        marked = objects.mark(next(self._marks))
        self.addresses[service] = (*self.addresses[service][:-1], marked)
        self._move(service)
        return marked

    def grow(self, service: int, endpoints: int) -> None:
        """It has so many endpoints beside those of proxies."""
        self.addresses[service] = (*self._fixed(service), *self._fresh(service, endpoints))
        self._move(service)

    def roll(self, service: int, endpoints: int) -> str:
        """So many of its endpoints are replaced, those that came first: the mark of it."""
        fixed, marked = self._fixed(service), objects.mark(next(self._marks))
        had = [each for each in self.addresses[service] if each not in self._pods]
        self.addresses[service] = (
            *fixed,
            *had[endpoints:],
            *self._fresh(service, endpoints - 1),
            marked,
        )
        self._move(service)
        return marked

    def _fixed(self, service: int) -> tuple[str, ...]:
        return tuple(each for each in self.addresses[service] if each in self._pods)

    def _fresh(self, service: int, endpoints: int) -> list[str]:
        block = 101 + next(self._blocks) % 20
        return [objects.address(service, n, block) for n in range(endpoints)]

    def touch_all(self) -> list[str]:
        """An endpoint moves in each namespace, or where all see all in one: every proxy must hear of one of them."""
        chosen = range(0, self.size.services, PER_NAMESPACE) if self.size.scoped else [0]
        return [self.churn(service) for service in chosen]

    def change_virtual_service(self) -> str:
        """Another prefix in the rules of service 0."""
        marked = f"marker-{next(self._marks)}"
        obj = objects.virtual_service(0, marked)
        self._patch(obj, {"spec": obj["spec"]})
        return marked

    def change_mesh(self) -> str:
        """Another format of logs, everywhere."""
        marked = f"marker-{next(self._marks)}"
        obj = objects.mesh_config(marked)
        self._patch(obj, {"data": obj["data"]})
        return marked

    def add_namespace(self, services: int) -> None:
        """A namespace of so many services comes, each with ten endpoints."""
        self._put(objects.namespace(ADDED))
        numbers = range(self.size.services, self.size.services + services)
        made = [objects.service(n, "more", ADDED) for n in numbers]
        slices = [self._far_slice(n, "more", ADDED) for n in numbers]
        self.server.all(
            [partial(self._put, each) for pair in zip(slices, made, strict=True) for each in pair]
        )

    def remove_namespace(self, services: int) -> None:
        """And goes; nobody finishes it for us, so it stays, empty."""
        numbers = range(self.size.services, self.size.services + services)
        paths = [f"/api/v1/namespaces/{ADDED}/services/more-{n}" for n in numbers]
        paths += [f"/apis/discovery.k8s.io/v1/namespaces/{ADDED}/endpointslices/more-{n}" for n in numbers]
        self.server.all([partial(self.server.ask, "DELETE", path) for path in paths])

    def write_far(self) -> None:
        """What another cluster, which this one is then, is to bring: services that the first has not."""
        server = self.server
        server.all([partial(self._put, each) for each in custom_resource_definitions()])
        names = [objects.ROOT_NAMESPACE, *(f"far-{n}" for n in range(self.size.namespaces))]
        server.all([partial(self._put, objects.namespace(name)) for name in names])
        where = {n: f"far-{n // PER_NAMESPACE}" for n in self.addresses}
        server.all([partial(self._put, self._far_slice(n, "far", name)) for n, name in where.items()])
        server.all([partial(self._put, objects.service(n, "far", name)) for n, name in where.items()])

    def churn_far(self, service: int) -> str:
        """An endpoint of it moves: the mark of it."""
        marked = f"198.19.255.{next(self._marks) % 250}"
        made = self._far_slice(service, "far", f"far-{service // PER_NAMESPACE}")
        made["endpoints"][0]["addresses"] = [marked]
        self._patch(made, {"endpoints": made["endpoints"]})
        return marked

    def join(self, kubeconfig: str) -> None:
        """Another cluster belongs to the mesh."""
        data = {"east": base64.b64encode(kubeconfig.encode()).decode()}
        self._put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": _SECRET,
                    "namespace": objects.ROOT_NAMESPACE,
                    "labels": {"istio/multiCluster": "true"},
                    "annotations": {"networking.istio.io/cluster": "east"},
                },
                "data": data,
            }
        )

    def part(self) -> None:
        """It belongs to it no more."""
        self.server.ask("DELETE", f"/api/v1/namespaces/{objects.ROOT_NAMESPACE}/secrets/{_SECRET}")

    def expected_endpoints(self, proxy: int) -> tuple[int, int]:
        """How many services' endpoints a proxy must hold, and the sum of what they mean."""
        seen = [n for n in self.addresses if self.sees(proxy, n)]
        found = [
            meaning(objects.upstream(n), [f"{each}:{TARGET}" for each in self.addresses[n]]) for n in seen
        ]
        if not self.size.scoped:
            found.append(meaning(_API, ()))
        return len(found), sum(found) & (1 << 64) - 1

    def _slice(self, number: int) -> Json:
        return objects.endpoint_slice(number, self.addresses[number], self._pods)

    def _far_slice(self, number: int, name: str, namespace: str) -> Json:
        addresses = tuple(objects.address(number, each, 100) for each in range(objects.ENDPOINTS))
        made = objects.endpoint_slice(number, addresses, {}, name)
        made["metadata"]["namespace"] = namespace
        return made

    def _write_pod(self, number: int) -> None:
        made = objects.pod(self.size, number)
        self._put(made)
        path = f"{objects.collection(made)}/{made['metadata']['name']}/status"
        self.server.ask("PATCH", path, objects.pod_status(self.size, number), _MERGE)

    def _move(self, service: int) -> None:
        made = self._slice(service)
        self._patch(made, {"endpoints": made["endpoints"]})

    def _patch(self, obj: Json, change: Json) -> None:
        self.server.ask("PATCH", f"{objects.collection(obj)}/{obj['metadata']['name']}", change, _MERGE)

    def _put(self, obj: Json) -> None:
        self.server.put(objects.collection(obj), obj["metadata"]["name"], obj)
