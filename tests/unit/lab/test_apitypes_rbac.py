from __future__ import annotations

import pytest

from fakes.objects import FakeObjects
from isthmus.lab.apiserver.bootstrap import bootstrap_objects
from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.users import ADMIN, AUTHENTICATED, User, account_user

JOE = User("joe", ("staff", AUTHENTICATED))
PILOT = account_user("mesh", "pilot")


def role(kind, name, *rules, namespace="", labels=None, **more):
    meta = {"name": name, "labels": labels or {}, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": meta,
        "rules": list(rules),
        **more,
    }


def rule(verbs, resources, groups="", names=""):
    said = {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": groups.split(",")}
    return said | ({"resourceNames": names.split()} if names else {})


def binding(role_kind, role_name, subject, namespace=""):
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    meta = {"name": f"to-{role_name}", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": meta,
        "roleRef": {"kind": role_kind, "name": role_name},
        "subjects": [subject],
    }


def user(name):
    return {"kind": "User", "name": name}


def allowed(objects, who, *access, **more):
    return Rbac(FakeObjects(*objects)).allows(who, Access(*access, **more)) is not None


READS = role("Role", "reads", rule("get list", "pods pods/log"), namespace="shop")


@pytest.mark.parametrize(
    ("verb", "resource", "more", "expected"),
    [
        ("get", "pods", {"namespace": "shop"}, True),
        ("get", "pods", {"namespace": "shop", "subresource": "log"}, True),
        ("get", "pods", {"namespace": "shop", "subresource": "exec"}, False),
        ("delete", "pods", {"namespace": "shop"}, False),
        ("get", "services", {"namespace": "shop"}, False),
        ("get", "pods", {"namespace": "other"}, False),
        ("get", "pods", {}, False),
        ("get", "pods", {"namespace": "shop", "group": "apps"}, False),
    ],
)
def test_a_role_allows_what_it_says_in_its_namespace(verb, resource, more, expected):
    objects = [READS, binding("Role", "reads", user("joe"), "shop")]
    assert allowed(objects, JOE, verb, resource, **more) is expected


def test_a_cluster_role_bound_in_a_namespace_holds_there_only():
    objects = [
        role("ClusterRole", "all", rule("*", "*", "*")),
        binding("ClusterRole", "all", user("joe"), "shop"),
    ]
    assert allowed(objects, JOE, "delete", "secrets", namespace="shop")
    assert not allowed(objects, JOE, "delete", "secrets", namespace="other")
    assert not allowed(objects, JOE, "list", "nodes")


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "ServiceAccount", "name": "pilot", "namespace": "mesh"},
        {"kind": "Group", "name": "system:serviceaccounts:mesh"},
        {"kind": "User", "name": "system:serviceaccount:mesh:pilot"},
    ],
)
def test_a_service_account_is_bound_by_name_group_or_as_user(subject):
    objects = [
        role("ClusterRole", "reads", rule("watch", "endpoints")),
        binding("ClusterRole", "reads", subject),
    ]
    assert allowed(objects, PILOT, "watch", "endpoints", namespace="any")
    assert not allowed(objects, JOE, "watch", "endpoints", namespace="any")


def test_an_account_without_namespace_is_of_the_bindings_own():
    subject = {"kind": "ServiceAccount", "name": "pilot"}
    objects = [
        role("ClusterRole", "reads", rule("get", "pods")),
        binding("ClusterRole", "reads", subject, "mesh"),
    ]
    assert allowed(objects, PILOT, "get", "pods", namespace="mesh")


def test_named_objects_are_allowed_and_no_others():
    objects = [
        role("ClusterRole", "one", rule("get", "configmaps", names="root")),
        binding("ClusterRole", "one", user("joe")),
    ]
    assert allowed(objects, JOE, "get", "configmaps", namespace="a", name="root")
    assert not allowed(objects, JOE, "get", "configmaps", namespace="a", name="other")


def test_a_gathering_role_has_the_rules_of_those_it_gathers():
    whole = role(
        "ClusterRole", "whole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "whole"}}]}
    )
    part = role("ClusterRole", "part", rule("get", "ferries", "boats.example"), labels={"to": "whole"})
    objects = [whole, part, binding("ClusterRole", "whole", user("joe"))]
    assert allowed(objects, JOE, "get", "ferries", "boats.example")


def test_paths_are_allowed_by_their_beginning():
    role_ = role("ClusterRole", "paths", {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/debug/*"]})
    objects = [role_, binding("ClusterRole", "paths", user("joe"))]
    assert allowed(objects, JOE, "get", path="/debug/pprof")
    assert allowed(objects, JOE, "get", path="/metrics")
    assert not allowed(objects, JOE, "get", path="/metrics/x")


def test_a_binding_to_a_role_that_is_gone_allows_nothing():
    assert not allowed([binding("ClusterRole", "gone", user("joe"))], JOE, "get", "pods")


def test_a_new_cluster_lets_masters_do_all_and_others_look_around():
    objects = list(bootstrap_objects())
    assert allowed([], ADMIN, "delete", "nodes")
    assert allowed(objects, JOE, "get", path="/apis/apps/v1")
    assert allowed(objects, JOE, "create", "selfsubjectaccessreviews", "authorization.k8s.io")
    assert not allowed(objects, JOE, "list", "pods", namespace="default")
    assert allowed(objects, User("system:node:n", ("system:nodes",)), "patch", "pods", subresource="status")


@pytest.mark.parametrize(
    ("role_name", "verb", "resource", "expected"),
    [
        ("view", "list", "services", True),
        ("view", "list", "secrets", False),
        ("view", "create", "services", False),
        ("edit", "create", "services", True),
        ("edit", "get", "secrets", True),
        ("edit", "create", "rolebindings", False),
        ("cluster-admin", "delete", "nodes", True),
    ],
)
def test_the_first_roles_mean_what_they_do_elsewhere(role_name, verb, resource, expected):
    objects = [*bootstrap_objects(), binding("ClusterRole", role_name, user("joe"))]
    group = "rbac.authorization.k8s.io" if resource == "rolebindings" else ""
    assert allowed(objects, JOE, verb, resource, group, namespace="default") is expected


def test_a_refusal_tells_who_what_and_where():
    access = Access("list", "pods", namespace="shop")
    assert (
        access.refusal(JOE)
        == 'User "joe" cannot list resource "pods" in API group "" in the namespace "shop"'
    )
    assert Access("get", "nodes").refusal(JOE).endswith('in API group "" at the cluster scope')
    assert Access("get", path="/x").refusal(JOE) == 'User "joe" cannot get path "/x"'
