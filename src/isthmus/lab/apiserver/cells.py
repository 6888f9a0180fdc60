"""Objects of Kubernetes' own types in one line each, as `kubectl get` shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver import network_cells as networks
from isthmus.lab.apiserver import signing_requests
from isthmus.lab.apiserver import workload_cells as workloads
from isthmus.lab.apiserver.ages import age
from isthmus.lab.apiserver.cell_parts import age_cell, joined
from isthmus.lab.apiserver.pod_cells import pod_cells

Json = dict[str, Any]
Cells = Callable[[Json, float], list[Any]]


@dataclass(frozen=True, slots=True)
class Printer:
    """The headings, those in parentheses for wide output only, and what is below them."""

    headings: str
    cells: Cells

    @property
    def columns(self) -> list[Json]:
        """The headings as a Table's `columnDefinitions`."""
        return [_column(heading) for heading in self.headings.split("|")]


def _column(heading: str) -> Json:
    wide = heading.startswith("(")
    name = heading[1:-1] if wide else heading
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 1 if wide else 0,
    }


def name_and_age(obj: Json, now: float) -> list[Any]:
    """NAME AGE, for all types of which nothing more is known."""
    return [obj["metadata"]["name"], age_cell(obj, now)]


def _node(obj: Json, now: float) -> list[Any]:
    meta, status = obj["metadata"], obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    addresses = {each.get("type"): each.get("address") for each in status.get("addresses") or ()}
    ready = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if (obj.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    roles = sorted(key.removeprefix(prefix) for key in meta.get("labels") or {} if key.startswith(prefix))
    return [
        meta["name"],
        ",".join(words),
        joined(roles),
        age_cell(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or "<none>",
        addresses.get("ExternalIP") or "<none>",
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _event(obj: Json, now: float) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or {}
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        ", ".join(
            each
            for each in (source.get("component") or obj.get("reportingComponent"), source.get("host"))
            if each
        ),
        str(obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        series.get("count") or obj.get("count") or 1,
        obj["metadata"]["name"],
    ]


def _role_binding(obj: Json, now: float) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()

    who = [_subjects(subjects, kind) for kind in ("User", "Group", "ServiceAccount")]
    return [obj["metadata"]["name"], f"{role.get('kind')}/{role.get('name')}", age_cell(obj, now), *who]


def _subjects(subjects: Iterable[Json], kind: str) -> str:
    whole = kind == "ServiceAccount"
    named = [each for each in subjects if each["kind"] == kind]
    return ", ".join(
        f"{each.get('namespace', '')}/{each['name']}" if whole else each["name"] for each in named
    )


def _disruption_budget(obj: Json, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    allowed = (obj.get("status") or {}).get("disruptionsAllowed") or 0
    return [obj["metadata"]["name"], *bounds, allowed, age_cell(obj, now)]


def _counting(*parts: str) -> Cells:
    return lambda obj, now: [
        obj["metadata"]["name"],
        sum(len(obj.get(each) or ()) for each in parts),
        age_cell(obj, now),
    ]


def _created(obj: Json, _: float) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _of_spec(field: str) -> Cells:
    return lambda obj, now: [
        obj["metadata"]["name"],
        (obj.get("spec") or {}).get(field) or "<none>",
        age_cell(obj, now),
    ]


def _phase(obj: Json, now: float) -> list[Any]:
    return [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", "Active"), age_cell(obj, now)]


def _secret(obj: Json, now: float) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type"), len(obj.get("data") or ()), age_cell(obj, now)]


_EVENT = "Last Seen|Type|Reason|Object|(Subobject)|(Source)|Message|(First Seen)|(Count)|(Name)"
_POD = "Name|Ready|Status|Restarts|Age|(IP)|(Node)|(Nominated Node)|(Readiness Gates)"
_NODE = "Name|Status|Roles|Age|Version|(Internal-IP)|(External-IP)|(OS-Image)|(Kernel-Version)|(Container-Runtime)"
_OWNING = "(Containers)|(Images)|(Selector)"
_BINDING = "Name|Role|Age|(Users)|(Groups)|(ServiceAccounts)"
FALLBACK = Printer("Name|Age", name_and_age)
PRINTERS: dict[str, Printer] = {
    "Pod": Printer(_POD, pod_cells),
    "Service": Printer("Name|Type|Cluster-IP|External-IP|Port(s)|Age|(Selector)", networks.service_cells),
    "Endpoints": Printer("Name|Endpoints|Age", networks.endpoints_cells),
    "EndpointSlice": Printer("Name|AddressType|Ports|Endpoints|Age", networks.endpoint_slice_cells),
    "Node": Printer(_NODE, _node),
    "Namespace": Printer("Name|Status|Age", _phase),
    "Deployment": Printer(f"Name|Ready|Up-to-date|Available|Age|{_OWNING}", workloads.deployment_cells),
    "ReplicaSet": Printer(f"Name|Desired|Current|Ready|Age|{_OWNING}", workloads.replica_set_cells),
    "ReplicationController": Printer(
        f"Name|Desired|Current|Ready|Age|{_OWNING}", workloads.replica_set_cells
    ),
    "StatefulSet": Printer("Name|Ready|Age|(Containers)|(Images)", workloads.stateful_set_cells),
    "DaemonSet": Printer(
        f"Name|Desired|Current|Ready|Up-to-date|Available|Node Selector|Age|{_OWNING}",
        workloads.daemon_set_cells,
    ),
    "Job": Printer(f"Name|Status|Completions|Duration|Age|{_OWNING}", workloads.job_cells),
    "CronJob": Printer("Name|Schedule|Timezone|Suspend|Active|Last Schedule|Age", workloads.cron_job_cells),
    "ConfigMap": Printer("Name|Data|Age", _counting("data", "binaryData")),
    "Secret": Printer("Name|Type|Data|Age", _secret),
    "ServiceAccount": Printer("Name|Secrets|Age", _counting("secrets")),
    "Event": Printer(_EVENT, _event),
    "Lease": Printer("Name|Holder|Age", _of_spec("holderIdentity")),
    "CustomResourceDefinition": Printer("Name|Created At", _created),
    signing_requests.KIND: Printer(
        "Name|Age|SignerName|Requestor|RequestedDuration|Condition", signing_requests.cells
    ),
    "Role": Printer("Name|Created At", _created),
    "ClusterRole": Printer("Name|Created At", _created),
    "RoleBinding": Printer(_BINDING, _role_binding),
    "ClusterRoleBinding": Printer(_BINDING, _role_binding),
    "MutatingWebhookConfiguration": Printer("Name|Webhooks|Age", _counting("webhooks")),
    "ValidatingWebhookConfiguration": Printer("Name|Webhooks|Age", _counting("webhooks")),
    "Ingress": Printer("Name|Class|Hosts|Address|Ports|Age", networks.ingress_cells),
    "IngressClass": Printer("Name|Controller|Age", _of_spec("controller")),
    "NetworkPolicy": Printer("Name|Pod-Selector|Age", networks.policy_cells),
    "PodDisruptionBudget": Printer(
        "Name|Min Available|Max Unavailable|Allowed Disruptions|Age", _disruption_budget
    ),
}
