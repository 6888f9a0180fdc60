"""What comes of EnvoyFilters in a mesh drawn from files: found by making what every proxy would be sent."""

from __future__ import annotations

from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.model.findings import Code, Finding
from isthmus.translate.types import PATCHED


def patch_findings(drawn: DrawnMesh) -> tuple[Finding, ...]:
    """Patches that are in error or find nothing; nothing is made where there is no EnvoyFilter."""
    generation = drawn.generation
    if not generation.mesh.of(EnvoyFilter):
        return ()
    source = FromFiles(drawn)
    # Pods that differ in their names alone are sent the same.
    alike = {
        (one.namespace, one.cluster, one.labels, one.serves): one
        for one in generation.mesh.workloads.values()
    }
    for workload in alike.values():
        proxy = source.proxy(workload)
        for type_url in PATCHED:
            tuple(generation.resources(proxy, type_url, None))
    return tuple(found for found in generation.findings if found.code is Code.PATCH)
