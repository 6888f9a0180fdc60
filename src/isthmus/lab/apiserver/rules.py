"""What must be true of objects of Kubernetes' own types beyond their schemas, and what must not change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from isthmus.lab.apiserver import signing_requests
from isthmus.lab.apiserver import workload_rules as workloads
from isthmus.lab.apiserver.causes import (
    Cause,
    duplicate,
    forbidden,
    immutable,
    invalid,
    required,
    unsupported,
)
from isthmus.lab.apiserver.match_conditions import conditions_broken
from isthmus.lab.apiserver.names import label_fault

Json = dict[str, Any]

_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_KEY = re.compile("[-._a-zA-Z0-9]+")
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or"
    " 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def object_broken(kind: str, obj: Json) -> Iterator[Cause]:
    """What is wrong with an object of `kind` whose structure is right."""
    check = _BROKEN.get(kind)
    if check is not None:
        yield from check(obj)


def object_changed(kind: str, old: Json, new: Json) -> Iterator[Cause]:
    """What an update from `old` to `new` changes and may not."""
    check = _CHANGED.get(kind)
    if check is not None:
        yield from check(old, new)


def _service_broken(service: Json) -> Iterator[Cause]:
    spec = service.get("spec") or {}
    kind = spec.get("type", "ClusterIP")
    if kind not in _SERVICE_TYPES:
        yield unsupported("spec.type", kind, _SERVICE_TYPES)
    if spec.get("sessionAffinity", "None") not in {"None", "ClientIP"}:
        yield unsupported("spec.sessionAffinity", spec["sessionAffinity"], ["ClientIP", "None"])
    if kind == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if kind in {"NodePort", "LoadBalancer"} and spec.get("clusterIP") == "None":
        words = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", "None", words)
    yield from _service_ports_broken(spec.get("ports") or [])


def _service_ports_broken(ports: list[Json]) -> Iterator[Cause]:
    names: list[str] = []
    seen: list[tuple[object, object]] = []
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name") or ""
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and (fault := label_fault(name)):
            yield invalid(f"{path}.name", name, fault)
        if name and name in names:
            yield duplicate(f"{path}.name", name)
        names.append(name)
        if not 0 < port.get("port", 0) < 65536:
            yield invalid(f"{path}.port", port.get("port"), "must be between 1 and 65535, inclusive")
        if port.get("protocol", "TCP") not in _PROTOCOLS:
            yield unsupported(f"{path}.protocol", port["protocol"], _PROTOCOLS)
        identity = port.get("protocol", "TCP"), port.get("port")
        if identity in seen:
            yield duplicate(path, {"port": port.get("port"), "protocol": identity[0]})
        seen.append(identity)


def _service_changed(old: Json, new: Json) -> Iterator[Cause]:
    was, now = old.get("spec") or {}, new.get("spec") or {}
    if "ExternalName" in {was.get("type"), now.get("type")}:
        return
    if was.get("clusterIP") and now.get("clusterIP") != was["clusterIP"]:
        yield invalid("spec.clusterIPs[0]", [now.get("clusterIP", "")], "may not change once set")


def _data_broken(obj: Json) -> Iterator[Cause]:
    for part in ("data", "binaryData"):
        for key in obj.get(part) or {}:
            if not _KEY.fullmatch(key) or len(key) > 253:
                yield invalid(f"{part}[{key}]", key, _KEY_WORDS)


def _data_changed(old: Json, new: Json) -> Iterator[Cause]:
    if old.get("immutable"):
        if not new.get("immutable"):
            yield forbidden("immutable", "field is immutable when `immutable` is set")
        for part in ("data", "binaryData"):
            if (old.get(part) or {}) != (new.get(part) or {}):
                yield forbidden(part, "field is immutable when `immutable` is set")


def _secret_changed(old: Json, new: Json) -> Iterator[Cause]:
    if old.get("type") != new.get("type"):
        yield immutable("type", new.get("type"))
    yield from _data_changed(old, new)


def _binding_broken(binding: Json) -> Iterator[Cause]:
    role = binding.get("roleRef") or {}
    if role.get("kind") not in {"Role", "ClusterRole"}:
        yield unsupported("roleRef.kind", role.get("kind"), ["Role", "ClusterRole"])
    if not role.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(binding.get("subjects") or ()):
        if subject.get("kind") not in {"User", "Group", "ServiceAccount"}:
            choices = ["ServiceAccount", "User", "Group"]
            yield unsupported(f"subjects[{index}].kind", subject.get("kind"), choices)
        elif (
            subject["kind"] == "ServiceAccount"
            and not subject.get("namespace")
            and binding["kind"] == "ClusterRoleBinding"
        ):
            yield required(f"subjects[{index}].namespace")


def _binding_changed(old: Json, new: Json) -> Iterator[Cause]:
    if old.get("roleRef") != new.get("roleRef"):
        yield invalid("roleRef", new.get("roleRef"), "cannot change roleRef")


_MATCHING = ("Equivalent", "Exact")


def _webhooks_broken(configuration: Json) -> Iterator[Cause]:
    names: list[str] = []
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        name = str(webhook.get("name") or "")
        if name.count(".") < 2:
            words = "should be a domain with at least three segments separated by dots"
            yield invalid(f"{path}.name", name, words)
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.append(name)
        client = webhook.get("clientConfig") or {}
        if ("url" in client) == ("service" in client):
            yield required(f"{path}.clientConfig", "exactly one of url or service is required")
        if webhook.get("sideEffects") not in {"None", "NoneOnDryRun"}:
            yield unsupported(f"{path}.sideEffects", webhook.get("sideEffects"), ["None", "NoneOnDryRun"])
        yield from conditions_broken(webhook, path)
        if webhook.get("matchPolicy", "Equivalent") not in _MATCHING:
            yield unsupported(f"{path}.matchPolicy", webhook["matchPolicy"], _MATCHING)
        if webhook.get("failurePolicy", "Fail") not in {"Fail", "Ignore"}:
            yield unsupported(f"{path}.failurePolicy", webhook["failurePolicy"], ["Fail", "Ignore"])
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            words = "the timeout value must be between 1 and 30 seconds"
            yield invalid(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], words)


def _slice_broken(each: Json) -> Iterator[Cause]:
    if each.get("addressType") not in {"IPv4", "IPv6", "FQDN"}:
        yield unsupported("addressType", each.get("addressType"), ["FQDN", "IPv4", "IPv6"])


def _slice_changed(old: Json, new: Json) -> Iterator[Cause]:
    if old.get("addressType") != new.get("addressType"):
        yield immutable("addressType", new.get("addressType"))


_BROKEN: dict[str, Callable[[Json], Iterator[Cause]]] = {
    "Pod": workloads.pod_broken,
    "Deployment": workloads.workload_broken,
    "ReplicaSet": workloads.workload_broken,
    "StatefulSet": workloads.workload_broken,
    "DaemonSet": workloads.workload_broken,
    "Job": workloads.job_broken,
    "CronJob": workloads.cron_job_broken,
    "Service": _service_broken,
    "ConfigMap": _data_broken,
    "Secret": _data_broken,
    "RoleBinding": _binding_broken,
    "ClusterRoleBinding": _binding_broken,
    "MutatingWebhookConfiguration": _webhooks_broken,
    "ValidatingWebhookConfiguration": _webhooks_broken,
    "EndpointSlice": _slice_broken,
    signing_requests.KIND: signing_requests.broken,
}
_CHANGED: dict[str, Callable[[Json, Json], Iterator[Cause]]] = {
    "Pod": workloads.pod_changed,
    "Deployment": workloads.workload_changed,
    "ReplicaSet": workloads.workload_changed,
    "StatefulSet": workloads.stateful_set_changed,
    "DaemonSet": workloads.workload_changed,
    "Job": workloads.job_changed,
    "Service": _service_changed,
    "ConfigMap": _data_changed,
    "Secret": _secret_changed,
    "RoleBinding": _binding_changed,
    "ClusterRoleBinding": _binding_changed,
    "EndpointSlice": _slice_changed,
    signing_requests.KIND: signing_requests.changed,
}
