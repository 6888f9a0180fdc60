"""The defaults that Kubernetes gives to its own types, for the fields that users and programs meet.

Every function changes the object that it is given, and changes nothing when called again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from isthmus.lab.apiserver.pod_defaults import default_pod_spec, fill, part

Json = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"


def default_builtin(kind: str, obj: Json) -> None:
    """Fill in what users of `kind`, one of Kubernetes' own, may leave out."""
    fill_in = _BY_KIND.get(kind)
    if fill_in is not None:
        fill_in(obj)


def _pod(obj: Json) -> None:
    default_pod_spec(part(obj, "spec"))


def _template(spec: Json) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        part(template, "metadata")
        default_pod_spec(part(template, "spec"))


def _deployment(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = part(spec, "strategy")
    fill(strategy, {"type": "RollingUpdate"})
    if strategy.get("type") == "RollingUpdate":
        fill(part(strategy, "rollingUpdate"), {"maxUnavailable": "25%", "maxSurge": "25%"})
    _template(spec)


def _replica_set(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"replicas": 1})
    _template(spec)


def _stateful_set(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(
        spec,
        {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    )
    fill(spec, {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}})
    _template(spec)


def _daemon_set(obj: Json) -> None:
    spec = part(obj, "spec")
    rolling: Json = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    fill(spec, {"revisionHistoryLimit": 10, "updateStrategy": rolling})
    _template(spec)


def _job_spec(spec: Json) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        fill(spec, {"completions": 1})
    fill(spec, {"parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False})
    fill(spec, {"podReplacementPolicy": "TerminatingOrFailed"})
    _template(spec)


def _job(obj: Json) -> None:
    _job_spec(part(obj, "spec"))


def _cron_job(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"concurrencyPolicy": "Allow", "suspend": False})
    fill(spec, {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
    template = part(spec, "jobTemplate")
    part(template, "metadata")
    _job_spec(part(template, "spec"))


def _service(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    if spec["sessionAffinity"] == "ClientIP":
        fill(spec, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}})
    if spec["type"] != "ExternalName":
        fill(spec, {"internalTrafficPolicy": "Cluster"})
    if spec["type"] in ("NodePort", "LoadBalancer"):
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["type"] == "LoadBalancer":
        fill(spec, {"allocateLoadBalancerNodePorts": True})
    for port in _dicts(spec.get("ports")):
        fill(port, {"protocol": "TCP"})
        if "port" in port and port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port["port"]


def _secret(obj: Json) -> None:
    fill(obj, {"type": "Opaque"})
    plain = obj.pop("stringData", None)
    if isinstance(plain, dict):
        data = part(obj, "data")
        data.update({key: base64.b64encode(str(text).encode()).decode() for key, text in plain.items()})


def _namespace(obj: Json) -> None:
    meta = part(obj, "metadata")
    if name := meta.get("name"):
        part(meta, "labels")["kubernetes.io/metadata.name"] = name
    fill(part(obj, "spec"), {"finalizers": ["kubernetes"]})
    fill(part(obj, "status"), {"phase": "Active"})


def _endpoints(obj: Json) -> None:
    for subset in _dicts(obj.get("subsets")):
        for port in _dicts(subset.get("ports")):
            fill(port, {"protocol": "TCP"})


def _endpoint_slice(obj: Json) -> None:
    for port in _dicts(obj.get("ports")):
        fill(port, {"name": "", "protocol": "TCP"})


def _webhook_configuration(obj: Json) -> None:
    for webhook in _dicts(obj.get("webhooks")):
        fill(webhook, {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10})
        fill(webhook, {"namespaceSelector": {}, "objectSelector": {}})
        for rule in _dicts(webhook.get("rules")):
            fill(rule, {"scope": "*"})
        service = part(webhook, "clientConfig").get("service")
        if isinstance(service, dict):
            fill(service, {"port": 443})


def _mutating_webhook_configuration(obj: Json) -> None:
    _webhook_configuration(obj)
    for webhook in _dicts(obj.get("webhooks")):
        fill(webhook, {"reinvocationPolicy": "Never"})


def _binding(obj: Json) -> None:
    fill(part(obj, "roleRef"), {"apiGroup": _RBAC})
    for subject in _dicts(obj.get("subjects")):
        if subject.get("kind") in ("User", "Group"):
            fill(subject, {"apiGroup": _RBAC})


def _network_policy(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"policyTypes": ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]})
    for rule in [*_dicts(spec.get("ingress")), *_dicts(spec.get("egress"))]:
        for port in _dicts(rule.get("ports")):
            fill(port, {"protocol": "TCP"})


def _crd(obj: Json) -> None:
    spec = part(obj, "spec")
    fill(spec, {"conversion": {"strategy": "None"}})
    names = spec.get("names")
    if isinstance(names, dict) and isinstance(names.get("kind"), str):
        fill(names, {"singular": names["kind"].lower(), "listKind": f"{names['kind']}List"})


def _autoscaler(obj: Json) -> None:
    fill(part(obj, "spec"), {"minReplicas": 1})


def _claim(obj: Json) -> None:
    fill(part(obj, "spec"), {"volumeMode": "Filesystem"})
    fill(part(obj, "status"), {"phase": "Pending"})


def _dicts(value: object) -> Iterable[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


_BY_KIND: dict[str, Callable[[Json], None]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "Endpoints": _endpoints,
    "EndpointSlice": _endpoint_slice,
    "ValidatingWebhookConfiguration": _webhook_configuration,
    "MutatingWebhookConfiguration": _mutating_webhook_configuration,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "NetworkPolicy": _network_policy,
    "CustomResourceDefinition": _crd,
    "HorizontalPodAutoscaler": _autoscaler,
    "PersistentVolumeClaim": _claim,
}
