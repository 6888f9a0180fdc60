"""Names that both a pod and its sidecar want to have."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.template import Addition


def taken(bare: Pod, added: Addition) -> Iterator[str]:
    """What of the pod has a name that something of the sidecar is to have; a container says more of the sidecar's."""
    ours = [each["name"] for each in (*added.init_containers, *added.containers)]
    own = [each.get("name") for key in ("initContainers", "containers") for each in bare.spec.get(key) or []]
    yield from (f"two containers are called {name} (hint: one)" for name in ours if own.count(name) > 1)
    names = [each["name"] for each in added.volumes]
    for index, each in enumerate(bare.spec.get("volumes") or []):
        if each.get("name") in names:
            yield f"volumes[{index}] has the name {each['name']} of the sidecar's (hint: another name)"
