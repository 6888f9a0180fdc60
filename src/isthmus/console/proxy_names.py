"""The names that the agent of a running pod answers, as it was told them."""

from __future__ import annotations

import msgspec

from isthmus.console.control_plane import ask_agent
from isthmus.kube.kubeconfig import Access
from isthmus.sidecar.pod_names import PodTable


class NameRow(msgspec.Struct, frozen=True):
    """A name of the table."""

    name: str
    addresses: str
    stands_for: str


async def pod_table(access: Access, namespace: str, pod: str) -> PodTable:
    """What the agent beside a pod was told. Raises `KubeError`."""
    return msgspec.convert(await ask_agent(access, namespace, pod, "names"), PodTable)


def names_of(found: PodTable) -> list[NameRow]:
    """All names, in order."""
    rows = [NameRow(host, " ".join(named.addresses), "") for host, named in found.table.names.items()]
    rows += [NameRow(host, "", target) for host, target in found.table.aliases.items()]
    return sorted(rows, key=lambda row: row.name)
