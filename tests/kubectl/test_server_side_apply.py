from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kubectl
SERVER_SIDE = ("apply", "--server-side", "-f", "-")


def settings(**data):
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}
    )


async def data(kubectl):
    return json.loads(await kubectl("get", "configmap", "settings", "-o", "json")).get("data")


async def version(kubectl):
    return await kubectl("get", "configmap", "settings", "-o", "jsonpath={.metadata.resourceVersion}")


async def test_applying_twice_writes_once(kubectl):
    assert await kubectl(*SERVER_SIDE, stdin=settings(a="1")) == "configmap/settings serverside-applied\n"
    before = await version(kubectl)
    await kubectl(*SERVER_SIDE, stdin=settings(a="1"))
    assert await version(kubectl) == before


async def test_a_field_left_out_goes_with_its_map(kubectl):
    await kubectl(*SERVER_SIDE, stdin=settings(a="1", b="2"))
    await kubectl(*SERVER_SIDE, stdin=settings(a="1"))
    assert await data(kubectl) == {"a": "1"}
    await kubectl(*SERVER_SIDE, stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"}}')
    assert await data(kubectl) is None


async def test_another_managers_field_is_a_conflict_until_it_is_forced(kubectl):
    await kubectl(*SERVER_SIDE, stdin=settings(a="1", b="1"))
    other = (*SERVER_SIDE, "--field-manager=other")
    ran = await kubectl.run(*other, stdin=settings(a="2", c="2"))
    assert ran.code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a\n' in ran.err
    await kubectl(*other, "--force-conflicts", stdin=settings(a="2", c="2"))
    assert await data(kubectl) == {"a": "2", "b": "1", "c": "2"}
    ran = await kubectl.run(*SERVER_SIDE, stdin=settings(a="1", b="1"))
    assert 'conflict with "other": .data.a\n' in ran.err


async def test_what_was_edited_by_hand_is_a_conflict_too(kubectl):
    await kubectl(*SERVER_SIDE, stdin=settings(a="1"))
    await kubectl("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"a":"9"}}')
    ran = await kubectl.run(*SERVER_SIDE, stdin=settings(a="1"))
    assert 'conflict with "kubectl-patch" using v1: .data.a\n' in ran.err


async def test_from_client_side_to_server_side_apply_there_is_no_conflict(any_kubectl):
    await any_kubectl("apply", "-f", "-", stdin=settings(a="1", b="1"))
    await any_kubectl(*SERVER_SIDE, stdin=settings(a="2"))
    assert (await data(any_kubectl))["a"] == "2"
    if any_kubectl.is_at_least(26):  # from then on kubectl gives what it applied before to its new self
        assert await data(any_kubectl) == {"a": "2"}


async def test_back_from_server_side_to_client_side_apply(kubectl):
    await kubectl("apply", "-f", "-", stdin=settings(a="1"))
    await kubectl(*SERVER_SIDE, stdin=settings(a="2", b="2"))
    await kubectl("apply", "-f", "-", stdin=settings(a="3"))
    assert await data(kubectl) == {"a": "3"}


async def test_managers_are_shown_with_their_fields(kubectl):
    if not kubectl.is_at_least(21):
        pytest.skip("--show-managed-fields came with 1.21")
    await kubectl(*SERVER_SIDE, stdin=settings(a="1"))
    await kubectl("label", "configmap", "settings", "color=red")
    shown = json.loads(await kubectl("get", "configmap", "settings", "-o", "json", "--show-managed-fields"))
    entries = {each["manager"]: each for each in shown["metadata"]["managedFields"]}
    assert entries["kubectl"]["operation"] == "Apply"
    assert entries["kubectl"]["fieldsV1"] == {"f:data": {"f:a": {}}}
    labels = entries["kubectl-label"]["fieldsV1"]["f:metadata"]["f:labels"]
    assert labels.keys() - {"."} == {"f:color"}, "and in Kubernetes the map itself, where it is new"


async def test_a_difference_is_shown_from_the_servers_side(any_kubectl):
    await any_kubectl(*SERVER_SIDE, stdin=settings(a="1"))
    ran = await any_kubectl.run("diff", "--server-side", "-f", "-", stdin=settings(a="2"))
    assert ran.code == 1, ran.err
    assert '+  a: "2"' in ran.out
    assert await data(any_kubectl) == {"a": "1"}


async def test_containers_of_two_appliers_live_together(kubectl):
    def web(name, image):
        pod = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": name, "image": image}]},
        }
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": pod}
        return json.dumps(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
        )

    await kubectl(*SERVER_SIDE, stdin=web("main", "main:1"))
    await kubectl(*SERVER_SIDE, "--field-manager=mesh", stdin=web("side", "side:1"))
    await kubectl(*SERVER_SIDE, stdin=web("main", "main:2"))
    images = "jsonpath={.spec.template.spec.containers[*].image}"
    assert await kubectl("get", "deployment", "web", "-o", images) == "main:2 side:1"
