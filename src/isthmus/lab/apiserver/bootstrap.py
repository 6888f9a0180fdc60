"""What a new cluster holds before anyone asks: its first namespaces, roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.lab.apiserver.users import AUTHENTICATED, MASTERS

Json = dict[str, Any]

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_ALL = ["*"]
_DESCRIBING = [
    "/.well-known/openid-configuration",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
    "/version/",
]
_CORE = [
    "configmaps",
    "endpoints",
    "events",
    "persistentvolumeclaims",
    "pods",
    "pods/attach",
    "pods/eviction",
    "pods/exec",
    "pods/log",
    "pods/portforward",
    "pods/proxy",
    "pods/status",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "serviceaccounts",
    "services",
    "services/proxy",
    "services/status",
]
_SEEN = [each for each in _CORE if each.partition("/")[2] in {"", "log", "status", "scale"}]
_GROUPS = ["apps", "autoscaling", "batch", "discovery.k8s.io", "networking.k8s.io", "policy"]


def _rule(verbs: list[str], groups: list[str], resources: list[str]) -> Json:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources}


_VIEW = [
    _rule(_READ, [""], [*_SEEN, "namespaces", "limitranges", "resourcequotas"]),
    _rule(_READ, _GROUPS, _ALL),
]
_EDIT = [
    *_VIEW,
    _rule(_READ + _WRITE, [""], [*_CORE, "secrets"]),
    _rule(["impersonate"], [""], ["serviceaccounts"]),
    _rule(["create"], [""], ["serviceaccounts/token"]),
    _rule(_READ + _WRITE, _GROUPS, _ALL),
]
_ADMIN = [
    *_EDIT,
    _rule(_READ + _WRITE, [_RBAC], ["roles", "rolebindings"]),
    _rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
]
_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
_ROLES: dict[str, list[Json]] = {
    "cluster-admin": [_rule(_ALL, _ALL, _ALL), {"verbs": _ALL, "nonResourceURLs": _ALL}],
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DESCRIBING}],
    "system:basic-user": [
        _rule(["create"], ["authorization.k8s.io"], _REVIEWS),
        _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    "system:auth-delegator": [
        _rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
        _rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
    ],
    # Kubernetes lets a node touch only what its own pods need; here all nodes are the lab's own.
    "system:node": [_rule(_ALL, _ALL, _ALL), {"verbs": ["get"], "nonResourceURLs": _ALL}],
}
_BINDINGS = {
    "cluster-admin": MASTERS,
    "system:discovery": AUTHENTICATED,
    "system:basic-user": AUTHENTICATED,
    "system:node": "system:nodes",
}


def bootstrap_objects() -> Iterator[Json]:
    """The objects, in an order in which they can be created."""
    for name in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    for name, rules in _ROLES.items():
        yield {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": _LABELS},
            "rules": rules,
        }
    for role, group in _BINDINGS.items():
        yield {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role, "labels": _LABELS},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": group}],
        }
