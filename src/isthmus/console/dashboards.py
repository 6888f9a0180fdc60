"""Where what has pages for a browser runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from isthmus.console.boards import Board
from isthmus.console.control_plane import NoPod, access_to, running_pods
from isthmus.console.found_pods import find_pod
from isthmus.console.meshed import Meshed
from isthmus.console.pilots import Silence
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access
from isthmus.model.revision import LABEL


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
    wanted = [f"{each},{LABEL}={revision}" if revision else each for each in board.labels]
    silent = []
    for context in where.contexts or ("",):
        access = access_to(where.kubeconfig, context or None)
        try:
            if pods := await _running(access, namespace, wanted):
                return Place(access, namespace, pods[0], tuple(pods[1:]))
        except KubeError as error:
            silent.append(Silence(context, str(error)))
        else:
            why = f"no pod with {' or '.join(wanted)} runs in namespace {namespace!r} (hint: -n, --context)"
            silent.append(Silence(context, why))
    raise KubeError("; ".join(map(str, silent)))


async def _running(access: Access, namespace: str, wanted: Sequence[str]) -> list[str]:
    async with Client(access) as client:
        for labels in wanted:
            with suppress(NoPod):
                return await running_pods(client, namespace, labels)
    return []
