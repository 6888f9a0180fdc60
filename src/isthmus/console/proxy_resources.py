"""What each proxy of a drawn mesh is sent, as trees in Envoy's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from isthmus.console.calls import WrongCall
from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.kit.versioned import Versioned
from isthmus.model.workload import Workload
from isthmus.translate.offline import PARTS
from isthmus.translate.show import as_tree

Tree = dict[str, Any]
ENVOYS = ("upstreams", "endpoints", "listeners", "routes", "extensions")
"""The parts that Envoy itself is sent."""


def workload_named(drawn: DrawnMesh, name: str, cluster: str = "") -> Workload:
    """The pod that `POD`, `POD.NAMESPACE` or `NAMESPACE/POD` means; the beginning of its name is enough.

    Raises `WrongCall` where there is none.
    """
    everyone = [
        each for each in drawn.generation.mesh.workloads.values() if not cluster or each.cluster == cluster
    ]
    for fits in (_is, _begins):
        found = [each for each in everyone if fits(each, name)]
        if found:
            return min(found, key=lambda each: (each.namespace != "default", each.name, each.cluster))
    known = ", ".join(sorted({f"{each.name}.{each.namespace}" for each in everyone})[:8])
    raise WrongCall(f"no pod is called {name} (hint: {known or 'give manifests with pods or Deployments'})")


def _forms(workload: Workload) -> tuple[str, ...]:
    return workload.name, f"{workload.name}.{workload.namespace}", f"{workload.namespace}/{workload.name}"


def _is(workload: Workload, name: str) -> bool:
    return name in _forms(workload)


def _begins(workload: Workload, name: str) -> bool:
    pod, dot, namespace = name.rpartition(".")
    if dot and workload.namespace == namespace and workload.name.startswith(pod):
        return True
    return any(form.startswith(name) for form in _forms(workload))


def resources(drawn: DrawnMesh, workload: Workload) -> Mapping[str, Mapping[str, Versioned]]:
    """What the proxy of a pod is sent: by part, then by name."""
    proxy = FromFiles(drawn).proxy(workload)
    generation = drawn.generation
    return {
        part: {one.name: one for one in generation.resources(proxy, PARTS[part], None)} for part in ENVOYS
    }


def trees(
    found: Mapping[str, Mapping[str, Versioned]], parts: tuple[str, ...] = (), pattern: str = "*"
) -> Tree:
    """The resources of some parts (none: all) whose names fit, as people read them."""
    return {
        part: {name: as_tree(one, PARTS[part]) for name, one in _sorted(named) if fnmatchcase(name, pattern)}
        for part, named in found.items()
        if (not parts or part in parts) and (named or parts)
    }


def _sorted(named: Mapping[str, Versioned]) -> Iterator[tuple[str, Versioned]]:
    for name in sorted(named):
        yield name, named[name]
