from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kubectl


def web(image="web:1", replicas=2, **labels):
    labels = {"app": "web"} | labels
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": pod},
        }
    )


async def test_what_is_applied_is_created_changed_and_left_alone(any_kubectl):
    assert await any_kubectl("apply", "-f", "-", stdin=web()) == "deployment.apps/web created\n"
    assert await any_kubectl("apply", "-f", "-", stdin=web()) == "deployment.apps/web unchanged\n"
    assert await any_kubectl("apply", "-f", "-", stdin=web("web:2")) == "deployment.apps/web configured\n"
    assert await image(any_kubectl) == "web:2"


async def test_what_is_left_out_goes_and_what_others_added_stays(kubectl):
    await kubectl("apply", "-f", "-", stdin=web(tier="front"))
    await kubectl("label", "deployment", "web", "owner=me")
    await kubectl("scale", "deployment", "web", "--replicas=5")
    await kubectl("apply", "-f", "-", stdin=web())
    found = json.loads(await kubectl("get", "deployment", "web", "-o", "json"))
    assert found["metadata"]["labels"] == {"app": "web", "owner": "me"}
    assert found["spec"]["replicas"] == 2


async def test_a_sidecar_that_another_added_stays(kubectl):
    await kubectl("apply", "-f", "-", stdin=web())
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
    await kubectl("patch", "deployment", "web", "-p", json.dumps(side))
    await kubectl("apply", "-f", "-", stdin=web("web:2"))
    assert set((await image(kubectl)).split()) == {"side:1", "web:2"}


async def test_a_dry_run_on_the_server_says_what_would_be_and_does_nothing(any_kubectl):
    await any_kubectl("apply", "-f", "-", stdin=web())
    said = await any_kubectl("apply", "--dry-run=server", "-f", "-", stdin=web("web:2"))
    assert said == "deployment.apps/web configured (server dry run)\n"
    assert await image(any_kubectl) == "web:1"


async def test_a_difference_is_shown_and_not_made(any_kubectl):
    await any_kubectl("apply", "-f", "-", stdin=web())
    assert (await any_kubectl.run("diff", "-f", "-", stdin=web())).code == 0
    ran = await any_kubectl.run("diff", "-f", "-", stdin=web("web:2"))
    assert ran.code == 1, ran.err
    lines = [line.replace(" ", "") for line in ran.out.splitlines()]
    assert "--image:web:1" in lines
    assert "+-image:web:2" in lines
    assert await image(any_kubectl) == "web:1"


async def test_unknown_fields_are_refused_or_warned_of(kubectl):
    wrong = json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "dat": {"a": "b"}}
    )
    ran = await kubectl.run("apply", "-f", "-", stdin=wrong)
    assert ran.code == 1
    assert 'unknown field "dat"' in ran.err
    if kubectl.is_at_least(25):
        ran = await kubectl.run("apply", "--validate=warn", "-f", "-", stdin=wrong)
        assert (ran.code, ran.out) == (0, "configmap/odd created\n")
        assert ran.err == 'Warning: unknown field "dat"\n'


async def test_an_invalid_object_is_refused_with_every_cause(kubectl):
    wrong = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "UPPER"},
            "spec": {"ports": [{"port": 99999}]},
        }
    )
    ran = await kubectl.run("apply", "-f", "-", stdin=wrong)
    assert ran.code == 1
    assert 'The Service "UPPER" is invalid' in ran.err
    assert "* metadata.name: Invalid value" in ran.err
    assert "* spec.ports[0].port: Invalid value: 99999" in ran.err


async def test_a_name_that_is_taken_cannot_be_created(kubectl):
    await kubectl("create", "-f", "-", stdin=web())
    ran = await kubectl.run("create", "-f", "-", stdin=web())
    assert ran.code == 1
    assert "AlreadyExists" in ran.err
    assert 'deployments.apps "web" already exists' in ran.err


async def test_a_generated_name_is_given(kubectl):
    obj = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "part-"}})
    first, second = [await kubectl("create", "-o", "name", "-f", "-", stdin=obj) for _ in range(2)]
    assert first.startswith("configmap/part-")
    assert first != second


async def test_an_old_object_does_not_replace_a_newer_one(kubectl):
    await kubectl("create", "configmap", "prices", "--from-literal=apple=1")
    old = json.loads(await kubectl("get", "configmap", "prices", "-o", "json"))
    old["data"]["apple"] = "2"
    assert await kubectl("replace", "-f", "-", stdin=json.dumps(old)) == "configmap/prices replaced\n"
    old["data"]["apple"] = "3"
    ran = await kubectl.run("replace", "-f", "-", stdin=json.dumps(old))
    assert ran.code == 1
    assert "the object has been modified; please apply your changes to the latest version" in ran.err


async def image(kubectl):
    return await kubectl(
        "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"
    )


@pytest.mark.embedded("controllers act on it in the other")
async def test_who_makes_what_nothing_acts_on_is_warned(kubectl):
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3,
        },
    }
    ran = await kubectl.run("apply", "-f", "-", stdin=json.dumps(scaler))
    assert ran.code == 0, ran.err
    words = "no controller here acts on horizontalpodautoscalers: they are stored, and that is all"
    assert f"Warning: {words}" in ran.err
    again = await kubectl.run("label", "hpa", "web", "a=b")
    assert "Warning" not in again.err
