from __future__ import annotations

import pytest

pytestmark = pytest.mark.kubectl


async def test_all_types_are_listed_with_short_names_and_kinds(any_kubectl):
    said = await any_kubectl("api-resources", "--no-headers")
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    assert lines["services"][1] == "svc"
    assert lines["deployments"][-1] == "Deployment"
    assert lines["namespaces"][-2] == "false"
    assert "tokenreviews" in lines


async def test_types_can_be_asked_for_by_group_and_verb(kubectl):
    said = await kubectl("api-resources", "--api-group=apps", "--verbs=list", "-o", "name")
    assert set(said.split()) == {
        "controllerrevisions.apps",
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
    }


async def test_all_versions_are_listed(kubectl):
    said = await kubectl("api-versions")
    assert {"v1", "apps/v1", "rbac.authorization.k8s.io/v1"} <= set(said.split())


async def test_short_names_and_categories_find_types(kubectl):
    await kubectl("create", "deployment", "web", "--image=nginx:1")
    assert "web" in await kubectl("get", "deploy")
    assert "deployment.apps/web" in await kubectl("get", "all")


async def test_the_control_planes_address_is_told(kubectl, cluster):
    assert cluster.url in await kubectl("cluster-info")
