"""Pods of a mesh as people name them."""

from __future__ import annotations

import difflib

from isthmus.console.calls import WrongCall
from isthmus.model.mesh import Mesh
from isthmus.model.workload import Workload

_MOST_NAMED = 8


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
    where = f' in cluster "{cluster}"' if cluster else ""
    raise WrongCall(f"no pod{where} is called {name} (hint: {_hint(mesh, everyone, name)})")


def _hint(mesh: Mesh, everyone: list[Workload], name: str) -> str:
    names = sorted({f"{each.name}.{each.namespace}" for each in everyone})
    near = difflib.get_close_matches(name, names, 1, 0.6)
    if near:
        return f"did you mean {near[0]}?"
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        looked_at = ", ".join(sorted({each.cluster for each in everyone}))
        return f"there are {', '.join(names[:_MOST_NAMED])}{more} in {looked_at}"
    clusters = sorted({cluster for cluster, _ in mesh.workloads})
    return (
        f"there are pods in {', '.join(clusters)}" if clusters else "give manifests with pods or Deployments"
    )


def _forms(workload: Workload) -> tuple[str, ...]:
    return workload.name, f"{workload.name}.{workload.namespace}", f"{workload.namespace}/{workload.name}"


def _is(workload: Workload, name: str) -> bool:
    return name in _forms(workload)


def _begins(workload: Workload, name: str) -> bool:
    pod, dot, namespace = name.rpartition(".")
    if dot and workload.namespace == namespace and workload.name.startswith(pod):
        return True
    return any(form.startswith(name) for form in _forms(workload))
