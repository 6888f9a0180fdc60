"""The table of Kubernetes' own types that the lab's API server serves."""

from __future__ import annotations

from dataclasses import replace

from isthmus.lab.apiserver.types import ResourceType, Types

_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})
_POD = frozenset({"status", "log", "exec", "attach", "portforward", "proxy", "eviction", "binding"})
_REVIEW = ("create",)


def _type(place: str, kind: str, plural: str, *short_names: str) -> ResourceType:
    group, _, version = place.rpartition("/")
    return ResourceType(group, version, kind, plural, kind.lower(), short_names=short_names)


def _clusterwide(place: str, kind: str, plural: str, *short_names: str) -> ResourceType:
    return replace(_type(place, kind, plural, *short_names), namespaced=False)


def _workload(place: str, kind: str, plural: str, *short_names: str) -> ResourceType:
    return replace(_type(place, kind, plural, *short_names), categories=("all",), subresources=_SCALED)


def _review(place: str, kind: str, plural: str) -> ResourceType:
    return replace(_clusterwide(place, kind, plural), verbs=_REVIEW)


def _sub(each: ResourceType, subresources: frozenset[str], *categories: str) -> ResourceType:
    return replace(each, subresources=subresources, categories=categories)


_RBAC = "rbac.authorization.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_AUTHORIZATION = "authorization.k8s.io/v1"
_EXTENSIONS = "api-extensions"

BUILTIN: tuple[ResourceType, ...] = (
    _type("v1", "ConfigMap", "configmaps", "cm"),
    _type("v1", "Endpoints", "endpoints", "ep"),
    _type("v1", "Event", "events", "ev"),
    _sub(_clusterwide("v1", "Namespace", "namespaces", "ns"), frozenset({"status", "finalize"})),
    _sub(_clusterwide("v1", "Node", "nodes", "no"), _STATUS),
    _sub(_type("v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc"), _STATUS),
    _sub(_clusterwide("v1", "PersistentVolume", "persistentvolumes", "pv"), _STATUS),
    _sub(_type("v1", "Pod", "pods", "po"), _POD, "all"),
    _sub(_type("v1", "ResourceQuota", "resourcequotas", "quota"), _STATUS),
    _type("v1", "LimitRange", "limitranges", "limits"),
    _type("v1", "Secret", "secrets"),
    _sub(_type("v1", "ServiceAccount", "serviceaccounts", "sa"), frozenset({"token"})),
    _sub(_type("v1", "Service", "services", "svc"), _STATUS | {"proxy"}, "all"),
    _workload("v1", "ReplicationController", "replicationcontrollers", "rc"),
    _sub(
        _clusterwide(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", "crd", "crds"
        ),
        _STATUS,
        _EXTENSIONS,
    ),
    _sub(
        _clusterwide(_ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        frozenset(),
        _EXTENSIONS,
    ),
    _sub(
        _clusterwide(_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        frozenset(),
        _EXTENSIONS,
    ),
    _sub(_type("apps/v1", "DaemonSet", "daemonsets", "ds"), _STATUS, "all"),
    _workload("apps/v1", "Deployment", "deployments", "deploy"),
    _workload("apps/v1", "ReplicaSet", "replicasets", "rs"),
    _workload("apps/v1", "StatefulSet", "statefulsets", "sts"),
    _type("apps/v1", "ControllerRevision", "controllerrevisions"),
    _review("authentication.k8s.io/v1", "TokenReview", "tokenreviews"),
    _review("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews"),
    replace(
        _review(_AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews"), namespaced=True
    ),
    _review(_AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    _review(_AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    _review(_AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews"),
    _sub(
        _type("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa"), _STATUS, "all"
    ),
    _sub(_type("batch/v1", "CronJob", "cronjobs", "cj"), _STATUS, "all"),
    _sub(_type("batch/v1", "Job", "jobs"), _STATUS, "all"),
    _sub(
        _clusterwide(
            "certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", "csr"
        ),
        _STATUS | {"approval"},
    ),
    _type("coordination.k8s.io/v1", "Lease", "leases"),
    _type("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    _type("events.k8s.io/v1", "Event", "events", "ev"),
    _clusterwide("networking.k8s.io/v1", "IngressClass", "ingressclasses"),
    _sub(_type("networking.k8s.io/v1", "Ingress", "ingresses", "ing"), _STATUS),
    _type("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "netpol"),
    _sub(_type("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb"), _STATUS),
    _clusterwide(_RBAC, "ClusterRoleBinding", "clusterrolebindings"),
    _clusterwide(_RBAC, "ClusterRole", "clusterroles"),
    _type(_RBAC, "RoleBinding", "rolebindings"),
    _type(_RBAC, "Role", "roles"),
    _clusterwide("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", "pc"),
    _clusterwide("storage.k8s.io/v1", "StorageClass", "storageclasses", "sc"),
)


def builtin_types() -> Types:
    """A new table of Kubernetes' own types, to which custom ones can be added."""
    return Types(BUILTIN)


_TABLE = builtin_types()


def builtin(plural: str, group: str = "") -> ResourceType:
    """One of Kubernetes' own types, for those who know that it is there. Raises `KeyError`."""
    found = _TABLE.preferred(group, plural)
    if found is None:
        raise KeyError(f"{plural}.{group}")
    return found
