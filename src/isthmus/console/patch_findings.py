"""What comes of EnvoyFilters and WasmPlugins in a mesh drawn from files: all that proxies would be sent is made."""

from __future__ import annotations

from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.model.findings import Code, Finding
from isthmus.translate.types import PATCHED


def patch_findings(drawn: DrawnMesh) -> tuple[Finding, ...]:
    """Patches that are in error or find nothing; nothing is made where there is none of these."""
    generation = drawn.generation
    mesh = generation.mesh
    if not mesh.of(EnvoyFilter) and not mesh.of(WasmPlugin):
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
