"""What of a drawn mesh cannot be said to Envoy, or patches nothing: all that proxies would be sent is made."""

from __future__ import annotations

from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.model.findings import Code, Finding
from isthmus.translate.types import PATCHED

_MET = frozenset({Code.PATCH, Code.NOT_SENT})


def findings_of_proxies(drawn: DrawnMesh) -> tuple[Finding, ...]:
    """What is withheld from proxies, and patches that are in error or find nothing."""
    generation = drawn.generation
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
    return tuple(found for found in generation.findings if found.code in _MET)
