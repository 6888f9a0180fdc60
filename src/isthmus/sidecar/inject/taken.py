"""Names that both a pod and its sidecar want to have."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.template import Addition


def taken(bare: Pod, added: Addition) -> Iterator[str]:
    """What of the pod has a name that something of the sidecar is to have."""
    for key, ours in (
        ("initContainers", added.init_containers),
        ("containers", added.containers),
        ("volumes", added.volumes),
    ):
        names = [each["name"] for each in ours]
        for index, each in enumerate(bare.spec.get(key) or []):
            if each.get("name") in names:
                yield f"{key}[{index}] has the name {each['name']} of the sidecar's (hint: another name)"
