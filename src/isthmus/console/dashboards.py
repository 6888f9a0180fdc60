"""What has pages for a browser in a mesh, and where: labels of its pods, its port, its first page."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.console.awaiting import Meshed
from isthmus.console.control_plane import ADMIN_PORT, MONITORING_PORT, PILOT, access_to, running_pods
from isthmus.console.found_pods import find_pod
from isthmus.console.pilots import Silence
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access
from isthmus.model.revision import LABEL


class Board(NamedTuple):
    """Something with pages; without labels it is beside a pod that is named."""

    labels: tuple[str, ...]
    port: int
    path: str = "/"


BOARDS = {
    "pilot": Board((PILOT,), MONITORING_PORT, "/debug"),
    "envoy": Board((), ADMIN_PORT),
    "prometheus": Board(("app.kubernetes.io/name=prometheus", "app=prometheus"), 9090),
    "grafana": Board(("app.kubernetes.io/name=grafana", "app=grafana"), 3000),
    "kiali": Board(("app.kubernetes.io/name=kiali", "app=kiali"), 20001, "/kiali"),
    "jaeger": Board(("app.kubernetes.io/name=jaeger", "app=jaeger"), 16686),
    "zipkin": Board(("app.kubernetes.io/name=zipkin", "app=zipkin"), 9411),
}
"""By the names that the command has for them."""


class Place(NamedTuple):
    """A pod that has the pages, and others beside it that have such pages, too."""

    access: Access
    namespace: str
    pod: str
    others: tuple[str, ...] = ()


async def place_of(board: Board, where: Meshed, words: str, namespace: str, revision: str = "") -> Place:
    """The pod that has the pages: the one that `words` name, else one in the first of the clusters that has one.

    `revision` is that of a control plane, where several run. Raises `KubeError`.
    """
    namespace = namespace or (where.root if board.labels else "")
    if words:
        found = await find_pod(where.kubeconfig, where.contexts, words, namespace)
        return Place(found.access, found.namespace, found.name)
    silent = []
    for context in where.contexts or ("",):
        access = access_to(where.kubeconfig, context or None)
        async with Client(access) as client:
            for labels in board.labels:
                wanted = f"{labels},{LABEL}={revision}" if revision else labels
                try:
                    first, *others = await running_pods(client, namespace, wanted)
                    return Place(access, namespace, first, tuple(others))
                except KubeError as error:
                    silent.append(Silence(context, str(error)))
    raise KubeError("; ".join(map(str, silent)))
