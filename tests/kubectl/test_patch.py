from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.kubectl

WEB = json.dumps(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{"name": "main", "image": "web:1", "ports": [{"containerPort": 80}]}]
                },
            },
        },
    }
)
BUDGET = {  # on which no controller of the tests acts
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
}
IMAGES = "{.spec.template.spec.containers[*].image}"


@pytest.fixture
async def web(kubectl):
    await kubectl("create", "-f", "-", stdin=WEB)
    return kubectl


async def field(kubectl, path):
    return await kubectl("get", "deployment", "web", "-o", f"jsonpath={path}")


async def test_labels_come_change_when_told_to_and_go(web):
    await web("label", "deployment", "web", "tier=front")
    ran = await web.run("label", "deployment", "web", "tier=back")
    assert "'tier' already has a value (front), and --overwrite is false" in ran.err
    await web("label", "deployment", "web", "tier=back", "--overwrite")
    assert await field(web, "{.metadata.labels.tier}") == "back"
    await web("label", "deployment", "web", "tier-")
    assert await field(web, "{.metadata.labels}") in {"", "{}"}


async def test_annotations_come_and_go(web):
    await web("annotate", "deployment", "web", "note=two words")
    assert await field(web, "{.metadata.annotations.note}") == "two words"
    await web("annotate", "deployment", "web", "note-")
    assert await field(web, "{.metadata.annotations.note}") == ""


async def test_a_strategic_patch_merges_containers_by_name(web):
    change = {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "main", "image": "web:2"}, {"name": "side", "image": "s:1"}]}
            }
        }
    }
    await web("patch", "deployment", "web", "-p", json.dumps(change))
    assert set((await field(web, IMAGES)).split()) == {"web:2", "s:1"}
    ports = "{.spec.template.spec.containers[?(@.name=='main')].ports[0].containerPort}"
    assert await field(web, ports) == "80"
    gone = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    await web("patch", "deployment", "web", "-p", json.dumps(gone))
    assert await field(web, IMAGES) == "web:2"


async def test_a_merge_patch_replaces_lists(web):
    change = {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "o:1"}]}}}}
    await web("patch", "deployment", "web", "--type=merge", "-p", json.dumps(change))
    assert await field(web, IMAGES) == "o:1"


async def test_a_json_patch_does_what_it_lists_or_nothing(web):
    steps = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]
    await web("patch", "deployment", "web", "--type=json", "-p", json.dumps(steps))
    assert await field(web, "{.spec.replicas}") == "3"
    ran = await web.run("patch", "deployment", "web", "--type=json", "-p", json.dumps(steps))
    assert ran.code == 1
    assert "The request is invalid" in ran.err
    assert await field(web, "{.spec.replicas}") == "3"


async def test_a_patch_that_makes_the_object_invalid_is_refused(web):
    ran = await web.run("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"replicas":"many"}}')
    assert ran.code == 1
    assert re.search(r"is invalid: .*spec\.replicas", ran.err), "in words of each server's own"
    change = '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'
    ran = await web.run("patch", "deployment", "web", "--type=merge", "-p", change)
    assert "field is immutable" in ran.err


async def test_the_status_is_patched_by_itself(kubectl):
    if not kubectl.is_at_least(24):
        pytest.skip("--subresource came with 1.24")
    await kubectl("create", "-f", "-", stdin=json.dumps(BUDGET))
    patch = ("patch", "poddisruptionbudget", "web", "--type=merge", "-p")
    shown = (
        "get",
        "poddisruptionbudget",
        "web",
        "-o",
        "jsonpath={.spec.minAvailable} {.status.currentHealthy}",
    )
    change = '{"status":{"currentHealthy":1},"spec":{"minAvailable":9}}'
    await kubectl(*patch, change, "--subresource=status")
    assert await kubectl(*shown) == "1 1"
    await kubectl(*patch, change)
    await kubectl(*patch, '{"status":{"currentHealthy":7}}')
    assert await kubectl(*shown) == "9 1"


async def test_the_generation_tells_changes_of_the_wish_alone(web):
    await web("label", "deployment", "web", "tier=front")
    assert await field(web, "{.metadata.generation}") == "1"
    await web("scale", "deployment", "web", "--replicas=2")
    assert await field(web, "{.metadata.generation} {.spec.replicas}") == "2 2"


async def test_an_image_and_its_environment_are_set(web):
    await web("set", "image", "deployment/web", "main=web:9")
    await web("set", "env", "deployment/web", "COLOR=red")
    assert await field(web, IMAGES) == "web:9"
    assert await field(web, "{.spec.template.spec.containers[0].env[0].value}") == "red"


async def test_an_edit_is_a_patch(web, cluster):
    editor = cluster.folder / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/image: web:1/image: web:3/" "$1"\n')
    editor.chmod(0o755)
    ran = await web.run("edit", "deployment", "web", env={"KUBE_EDITOR": str(editor)})
    assert ran.out == "deployment.apps/web edited\n", ran.err
    assert await field(web, IMAGES) == "web:3"


async def test_every_write_names_its_manager(web, cluster):
    await web("label", "deployment", "web", "tier=front")
    obj = await cluster.find("deployments", "default", "web", "apps")
    writers = {each["manager"] for each in obj["metadata"]["managedFields"]}
    assert writers - {"kube-controller-manager"} == {"kubectl-create", "kubectl-label"}
