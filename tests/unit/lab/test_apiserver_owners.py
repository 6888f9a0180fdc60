from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import CONFIG_MAPS, DEPLOYMENTS, PODS, bare_api, config_map, deployment
from isthmus.lab.apiserver.api import Target, Write
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.field_conflicts import LAST_APPLIED
from isthmus.lab.apiserver.managed_fields import Manager, applied
from isthmus.lab.apiserver.owners import owners_of
from isthmus.lab.apiserver.ownership import from_fields, is_absent, owned_paths, to_fields, value_at
from isthmus.lab.apiserver.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH
from isthmus.lab.apiserver.schema import Schema, Schemas
from isthmus.lab.apiserver.strategic import strategic_merge

SETTINGS = Target(CONFIG_MAPS, "default", "settings")
WEB = Target(DEPLOYMENTS, "default", "web")


@pytest.fixture
async def api():
    made = await bare_api()
    yield made
    made.store.close()


async def apply(api, target, obj, manager="alice", *, force=False):
    return await api.patch(target, obj, APPLY_PATCH, Write(manager=manager, force=force))


def managers(obj):
    return {(entry["manager"], entry["operation"]) for entry in obj["metadata"].get("managedFields", ())}


async def test_clients_may_rewrite_who_owns_what(api):
    made = await api.create(CONFIG_MAPS, config_map(color="red"), Write(manager="kubectl-client-side-apply"))
    entry = made["metadata"]["managedFields"][0] | {"manager": "kubectl", "operation": "Apply"}
    steps = [{"op": "replace", "path": "/metadata/managedFields", "value": [entry]}]
    made = await api.patch(SETTINGS, steps, JSON_PATCH, Write(manager="kubectl"))
    assert managers(made) == {("kubectl", "Apply")}
    made = await apply(api, SETTINGS, config_map(), "kubectl")
    assert made.get("data", {}) == {}, "what it owned by then, it could drop"


async def test_clients_who_know_no_owners_keep_them(api):
    made = await api.create(CONFIG_MAPS, config_map(color="red"), Write(manager="one"))
    meta = {key: value for key, value in made["metadata"].items() if key != "managedFields"}
    made = await api.update(
        SETTINGS, {**made, "metadata": meta, "data": {"color": "red", "size": "1"}}, Write(manager="two")
    )
    assert managers(made) == {("one", "Update"), ("two", "Update")}


async def test_one_empty_entry_forgets_all_owners(api):
    await api.create(CONFIG_MAPS, config_map(color="red"))
    made = await api.patch(SETTINGS, {"metadata": {"managedFields": [{}]}}, MERGE_PATCH)
    assert "managedFields" not in made["metadata"]
    with pytest.raises(ApiError, match=r'conflict with "before-first-apply" using v1: \.data\.color'):
        await apply(api, SETTINGS, config_map(color="blue"))


async def test_owners_that_cannot_be_read_are_refused(api):
    await api.create(CONFIG_MAPS, config_map(color="red"))
    sent = {
        "metadata": {"managedFields": [{"manager": "me", "operation": "Update", "fieldsV1": {"f:data": 7}}]}
    }
    with pytest.raises(ApiError) as refused:
        await api.patch(SETTINGS, sent, MERGE_PATCH)
    assert refused.value.code == 400


async def test_kubectl_takes_over_what_it_applied_from_the_clients_side(api):
    last = json.dumps(config_map(color="red", size="1"))
    obj = config_map(color="red", size="1")
    obj["metadata"]["annotations"] = {LAST_APPLIED: last}
    await api.create(CONFIG_MAPS, obj, Write(manager="kubectl-client-side-apply"))
    with pytest.raises(ApiError, match=r"\.data\.color"):
        await apply(api, SETTINGS, config_map(color="blue"), "other")
    made = await apply(api, SETTINGS, config_map(color="blue"), "kubectl")
    assert made["data"]["color"] == "blue"
    assert json.loads(made["metadata"]["annotations"][LAST_APPLIED])["data"] == {"color": "blue"}


async def test_kubectl_takes_over_nothing_that_changed_since_it_applied(api):
    obj = config_map(color="green")
    obj["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(config_map(color="red"))}
    await api.create(CONFIG_MAPS, obj, Write(manager="somebody"))
    with pytest.raises(ApiError, match=r'conflict with "somebody" using v1: \.data\.color'):
        await apply(api, SETTINGS, config_map(color="blue"), "kubectl")


async def test_a_status_is_applied_by_itself_and_owned_by_itself(api):
    status = deployment(replicas=2) | {"status": {"replicas": 9}}
    made = await apply(api, WEB, status)
    assert "status" not in made
    there = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "status": {"replicas": 2},
        "spec": {"replicas": 7},
    }
    made = await apply(api, Target(DEPLOYMENTS, "default", "web", "status"), there, "controller")
    assert (made["spec"]["replicas"], made["status"]["replicas"]) == (2, 2)
    entry = next(each for each in made["metadata"]["managedFields"] if each["manager"] == "controller")
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})


async def test_a_new_pods_status_belongs_to_nobody(api):
    pod = {
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"containers": [{"name": "a", "image": "a:1"}]},
    }
    made = await api.create(PODS, pod)
    assert made["status"]["phase"] == "Pending"
    assert set(made["metadata"]["managedFields"][0]["fieldsV1"]) == {"f:spec"}


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ([{"name": "a"}, {"name": "a"}], "comes twice"),
        ([{"image": "a:1"}], "lacks its key"),
    ],
)
async def test_items_must_be_told_apart_by_their_keys(api, containers, words):
    config = deployment()
    config["spec"]["template"]["spec"]["containers"] = containers
    with pytest.raises(ApiError, match=words) as refused:
        await apply(api, WEB, config)
    assert refused.value.code == 400


KINDS = Schema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "hosts": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "steps": {"type": "array", "items": {"type": "string"}},
                    "limits": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "additionalProperties": {"type": "string"},
                    },
                    "parts": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                        },
                    },
                },
            }
        },
    }
)


def custom(**spec):
    return {"apiVersion": "x.example/v1", "kind": "Thing", "metadata": {"name": "one"}, "spec": spec}


def manager(name):
    return Manager(name, "Apply", "x.example/v1")


def test_sets_unite_and_lose_only_what_nobody_wants():
    live = applied(None, custom(hosts=["a", "b"]), manager("alice"), KINDS, force=False)
    live = applied(live, custom(hosts=["b", "c"]), manager("bob"), KINDS, force=False)
    assert live["spec"]["hosts"] == ["a", "b", "c"]
    live = applied(live, custom(hosts=[]), manager("alice"), KINDS, force=False)
    assert live["spec"]["hosts"] == ["b", "c"]


def test_lists_and_maps_that_are_one_value_are_replaced_whole():
    live = applied(None, custom(steps=["a"], limits={"cpu": "1"}), manager("alice"), KINDS, force=False)
    with pytest.raises(ApiError) as refused:
        applied(live, custom(steps=["b"], limits={"memory": "1"}), manager("bob"), KINDS, force=False)
    assert [cause["field"] for cause in refused.value.details["causes"]] == [".spec.limits", ".spec.steps"]
    live = applied(live, custom(steps=["b"], limits={"memory": "1"}), manager("bob"), KINDS, force=True)
    assert live["spec"] == {"steps": ["b"], "limits": {"memory": "1"}}


def test_an_item_goes_with_the_last_who_holds_it_and_the_list_with_the_last_item():
    live = applied(None, custom(parts=[{"name": "a", "size": 1}]), manager("alice"), KINDS, force=False)
    live = applied(live, custom(parts=[{"name": "a"}, {"name": "b"}]), manager("bob"), KINDS, force=False)
    live = applied(live, custom(), manager("alice"), KINDS, force=False)
    assert live["spec"]["parts"] == [{"name": "a"}, {"name": "b"}]
    live = applied(live, custom(), manager("bob"), KINDS, force=False)
    assert "parts" not in live["spec"]


NAMES = st.sampled_from("abc")
PARTS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"size": st.integers(0, 2)}),
    max_size=3,
    unique_by=lambda part: part["name"],
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "parts": PARTS,
        "hosts": st.lists(NAMES, unique=True, max_size=3),
        "steps": st.lists(NAMES, max_size=2),
        "limits": st.dictionaries(NAMES, NAMES, max_size=2),
    },
)
APPLIES = st.lists(st.tuples(st.sampled_from(["alice", "bob", "carol"]), SPECS), min_size=1, max_size=6)


@given(APPLIES)
def test_whoever_applied_last_finds_all_that_they_want_and_owns_it(applies):
    live = None
    for name, spec in applies:
        live = applied(live, custom(**spec), manager(name), KINDS, force=True)
        wanted = owned_paths(custom(**spec), KINDS)
        for path in wanted:
            value = value_at(custom(**spec), path, KINDS)
            if value and not path[-1].startswith("k:"):  # those merge with what is there
                assert value_at(live, path, KINDS) == value
        assert owners_of(live).get(manager(name).identity, (None, frozenset()))[1] == wanted
        everything = owned_paths(live, KINDS)
        for _, paths in owners_of(live).values():
            assert not [path for path in paths if is_absent(value_at(live, path, KINDS))]
        assert everything <= {path for _, paths in owners_of(live).values() for path in paths}, (
            "nothing is left over"
        )


@given(APPLIES)
def test_applying_again_changes_nothing(applies):
    live = None
    for name, spec in applies:
        live = applied(live, custom(**spec), manager(name), KINDS, force=True)
        assert applied(live, custom(**spec), manager(name), KINDS, force=False) == live


@given(SPECS)
def test_owned_fields_are_written_and_read_alike(spec):
    paths = owned_paths(custom(**spec), KINDS)
    assert from_fields(json.loads(json.dumps(to_fields(paths)))) == paths


def test_items_that_a_patch_does_not_name_keep_their_place():
    """Kubernetes merges the two orders: the patch's for what it names, the server's for the rest."""
    schema = Schemas().of(PODS)
    live = {"spec": {"containers": [{"name": name} for name in "abcd"]}}
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "e"}, {"name": "d"}],
            "containers": [{"name": "e"}],
        }
    }
    merged = strategic_merge(live, patch, schema)
    assert [each["name"] for each in merged["spec"]["containers"]] == ["a", "e", "b", "c", "d"]
