from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kubectl


@pytest.fixture
async def maps(kubectl):
    for name, color in (("apple", "red"), ("cherry", "red"), ("lime", "green")):
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"color": color}},
            "data": {"name": name},
        }
        await kubectl("create", "-f", "-", stdin=json.dumps(obj))
    return kubectl


async def test_objects_are_listed_in_columns(any_kubectl):
    await any_kubectl("create", "configmap", "apple", "--from-literal=a=b")
    lines = (await any_kubectl("get", "configmaps")).splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "DATA"], ["apple", "1"]]


async def test_labels_select_what_is_listed(maps):
    assert await names(maps, "-l", "color=red") == {"apple", "cherry"}
    assert await names(maps, "-l", "color in (green,blue)") == {"lime"}
    assert await names(maps, "-l", "color!=red") == {"lime"}
    assert await names(maps, "-l", "color,!shape") == {"apple", "cherry", "lime"}


async def test_fields_select_what_is_listed(maps):
    assert await names(maps, "--field-selector=metadata.name=lime") == {"lime"}
    assert await names(maps, "--field-selector=metadata.name!=lime") == {"apple", "cherry"}


async def test_all_namespaces_are_listed_with_theirs(maps):
    await maps("create", "namespace", "shop")
    await maps("create", "configmap", "pear", "-n", "shop")
    lines = (await maps("get", "configmaps", "-A", "--no-headers")).splitlines()
    assert {tuple(line.split()[:2]) for line in lines} >= {("default", "apple"), ("shop", "pear")}


async def test_a_long_list_comes_in_pages(maps, cluster):
    assert await names(maps, "--chunk-size=1") == {"apple", "cherry", "lime"}
    page = json.loads(await maps("get", "--raw", "/api/v1/namespaces/default/configmaps?limit=2"))
    assert page["metadata"]["remainingItemCount"] == 1
    more = page["metadata"]["continue"]
    await maps("delete", "configmap", "apple", "lime")
    rest = json.loads(
        await maps("get", "--raw", f"/api/v1/namespaces/default/configmaps?limit=2&continue={more}")
    )
    assert [obj["metadata"]["name"] for obj in rest["items"]] == ["lime"], "as it was at the first page"
    assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]


async def test_objects_are_shown_in_every_form(maps):
    assert "name: apple" in await maps("get", "configmap", "apple", "-o", "yaml")
    assert await maps("get", "configmap", "apple", "-o", "jsonpath={.data.name}") == "apple"
    assert await maps("get", "configmap", "apple", "-o", "name") == "configmap/apple\n"
    custom = await maps(
        "get", "configmaps", "-o", "custom-columns=C:.metadata.labels.color", "--sort-by=.data.name"
    )
    assert custom.split() == ["C", "red", "red", "green"]


async def test_what_is_not_there_is_not_found(kubectl):
    ran = await kubectl.run("get", "configmap", "pear")
    assert ran.code == 1
    assert ran.err == 'Error from server (NotFound): configmaps "pear" not found\n'
    ran = await kubectl.run("get", "pears")
    assert 'the server doesn\'t have a resource type "pears"' in ran.err


async def names(kubectl, *arguments):
    said = await kubectl("get", "configmaps", "-o", "name", *arguments)
    return {line.partition("/")[2] for line in said.splitlines()}
