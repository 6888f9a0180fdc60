"""Pods of a mesh as people name them."""

from __future__ import annotations

from isthmus.console.calls import WrongCall
from isthmus.model.mesh import Mesh
from isthmus.model.workload import Workload


def workload_named(mesh: Mesh, name: str, cluster: str = "") -> Workload:
    """The pod that `POD`, `POD.NAMESPACE` or `NAMESPACE/POD` means; the beginning of its name is enough.

    Raises `WrongCall` where there is none.
    """
    everyone = [each for each in mesh.workloads.values() if not cluster or each.cluster == cluster]
    for fits in (_is, _begins):
        found = [each for each in everyone if fits(each, name)]
        if found:
            # A name that several namespaces have means the default one.
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
