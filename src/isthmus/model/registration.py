"""The WorkloadEntry that an agent outside Kubernetes gets by itself, of a WorkloadGroup and what its proxy says. Pure.

Names and annotations are Istio's. Source: its "Virtual Machine Installation" and the reference of annotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

import msgspec

from isthmus.api import kind_of_type
from isthmus.api.istio.workload_entry import HEALTH_CHECKED, HEALTHY, WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Ref
from isthmus.kit.ip import is_address
from isthmus.model.endpoint import Locality
from isthmus.model.from_service_entry import labels_of
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.shards import TLS_LABEL

Json = dict[str, Any]

GROUP = "istio.io/autoRegistrationGroup"
"""Annotation with the group of an entry that nobody wrote."""
ASKED_GROUP = "AUTO_REGISTER_GROUP"
"""Metadata of a proxy with the group that it asks to be of."""
CONTROLLER = "istio.io/workloadController"
"""Annotation with the Pilot to which the entry's proxy came last."""
CONNECTED, DISCONNECTED = "istio.io/connectedAt", "istio.io/disconnectedAt"
"""Annotations of which an entry has one: since when its proxy is there, or is not."""

_LONGEST = 253  # of a name in Kubernetes
_LONGEST_MESSAGE = 1024


def group_ref(proxy: Proxy) -> Ref | None:
    """The WorkloadGroup that a proxy says it is of, by `ISTIO_META_AUTO_REGISTER_GROUP`; None where it says none."""
    name = dict(proxy.metadata).get(ASKED_GROUP, "")
    return Ref(kind_of_type(WorkloadGroup).ref_kind, proxy.namespace, name) if name else None


def group_in(mesh: Mesh, ref: Ref) -> WorkloadGroup | None:
    """The group, where it is there and can be read."""
    found = mesh.config.get(WorkloadGroup.__name__, {}).get(ref)
    return found if isinstance(found, WorkloadGroup) else None


def entries_in(mesh: Mesh) -> Mapping[Ref, WorkloadEntry]:
    """The entries that were made of groups."""
    found = mesh.config.get(WorkloadEntry.__name__, {})
    return {
        ref: each
        for ref, each in found.items()
        if isinstance(each, WorkloadEntry) and GROUP in each.metadata.annotations
    }


def entry_ref(proxy: Proxy, group: Ref) -> Ref:
    """The entry that a proxy gets: `GROUP-ADDRESS[-NETWORK]`, of which the end counts where it is too long."""
    parts = (group.name, proxy.address.replace(":", "-"), proxy.network)
    name = "-".join(part for part in parts if part)[-_LONGEST:].strip("-.")
    return Ref(kind_of_type(WorkloadEntry).ref_kind, group.namespace, name)


def refusal(proxy: Proxy, ref: Ref, group: WorkloadGroup | None) -> str:
    """Why a proxy whose identity is proven gets no entry of the group; empty where it gets one."""
    if group is None:
        return (
            f"there is no WorkloadGroup {ref.namespace}/{ref.name} that can be read "
            "(hint: apply it in the cluster that holds the configuration, or mend ISTIO_META_AUTO_REGISTER_GROUP)"
        )
    wanted, said = group.spec.template.service_account or "default", proxy.service_account or "default"
    if wanted != said:
        return (
            f"WorkloadGroup {ref.namespace}/{ref.name} is for service account {wanted}, and the workload runs as "
            f"{said} (hint: template.serviceAccount, or a token of that account)"
        )
    if not is_address(proxy.address) or ip_address(proxy.address).is_unspecified:
        return f"{proxy.address!r} is no IP address that others could call (hint: INSTANCE_IP of the agent)"
    return ""


def vouched(mesh: Mesh, proxy: Proxy) -> dict[str, str] | None:
    """The labels that people give a workload that is no pod, by its group or by an entry for its address and account.

    None where nobody has written of it. What it says of itself is not among them.
    """
    ref, account = group_ref(proxy), proxy.service_account or "default"
    if ref is not None:
        group = group_in(mesh, ref)
        if group is None or refusal(proxy, ref, group):
            return None
        return {**group.spec.template.labels, **group.spec.metadata.labels}
    for entry in mesh.of(WorkloadEntry):
        who = (entry.metadata.namespace, entry.spec.address, entry.spec.service_account or "default")
        if who == (proxy.namespace, proxy.address, account) and GROUP not in entry.metadata.annotations:
            return labels_of(entry)
    return None


def vouching(refs: Iterable[Ref], meshes: Iterable[Mesh]) -> frozenset[str]:
    """The namespaces in which these objects say of workloads who they are, in either of the meshes."""
    kinds = {kind_of_type(type_).ref_kind: type_ for type_ in (WorkloadGroup, WorkloadEntry)}
    mine = [ref for ref in refs if ref.kind in kinds]
    held = ((ref, mesh.config.get(kinds[ref.kind].__name__, {}).get(ref)) for ref in mine for mesh in meshes)
    return frozenset(ref.namespace for ref, each in held if each and GROUP not in each.metadata.annotations)


def entry_of(proxy: Proxy, ref: Ref, group: WorkloadGroup) -> Json:
    """The entry but for who keeps it: the group's template, over which goes what the proxy says of itself."""
    template, marks = group.spec.template, group.spec.metadata
    labels = {TLS_LABEL: "istio", **template.labels, **marks.labels, **dict(proxy.labels)}
    spec = msgspec.structs.replace(
        template,
        address=proxy.address,
        labels=labels,
        network=proxy.network or template.network,
        locality=_text(proxy.locality) or template.locality,
        service_account=proxy.service_account or "default",
    )
    owner = kind_of_type(WorkloadGroup)
    return {
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": labels,
            "annotations": {**marks.annotations, GROUP: group.metadata.name, **_checked(group)},
            "ownerReferences": [
                {
                    "apiVersion": owner.api_version,
                    "kind": owner.name,
                    "name": group.metadata.name,
                    "uid": group.metadata.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {key: value for key, value in msgspec.to_builtins(spec).items() if value},
    }


def _checked(group: WorkloadGroup) -> dict[str, str]:
    return {HEALTH_CHECKED: "true"} if group.spec.probe is not None else {}


def healthy(fault: str, stamp: str) -> Json:
    """The condition that says since when a workload is well, or why it is not."""
    return {
        "type": HEALTHY,
        "status": "False" if fault else "True",
        "reason": "ProbeFailed" if fault else "ProbeSucceeded",
        "message": fault[:_LONGEST_MESSAGE],
        "lastTransitionTime": stamp,
        "lastProbeTime": stamp,
    }


def _text(place: Locality) -> str:
    return "/".join((place.region, place.zone, place.subzone)).rstrip("/")
