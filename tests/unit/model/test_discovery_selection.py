"""Which namespaces the mesh looks at follows MeshConfig's selectors and the namespaces' labels."""

from __future__ import annotations

from fakes.manifests import EAST, SETTINGS, WEST, config, gone, made, put, service
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change
from isthmus.model.findings import Code, Finding

SELECTORS = "discoverySelectors: [{matchLabels: {mesh: here}}]"
RULE = config("VirtualService", "r", "{hosts: [a], http: [{route: [{destination: {host: a}}]}]}")


def of_mesh(text):
    return put(EAST, made("ConfigMap", "istio", "istio-system", data={"mesh": text}))


def namespace(**labels):
    return made("Namespace", "default", "", {"labels": labels})


def started():
    builder = MeshBuilder(SETTINGS)
    builder.apply([put(EAST, service("a", ("http", 80))), put(EAST, RULE), of_mesh(SELECTORS)])
    return builder


def seen(builder):
    config = builder.mesh.config.get("VirtualService", {})
    return sorted(key.hostname.partition(".")[0] for key in builder.mesh.services), sorted(
        each.name for each in config
    )


def test_what_is_in_no_selected_namespace_is_as_if_it_were_not_there():
    assert seen(started()) == ([], [])


def test_a_namespace_brings_and_takes_all_that_is_in_it():
    builder = started()
    builder.apply([put(EAST, namespace(mesh="here"))])
    assert seen(builder) == (["a"], ["r"])
    builder.apply([put(EAST, namespace())])
    assert seen(builder) == ([], [])


def test_without_selectors_all_is_back():
    builder = started()
    builder.apply([of_mesh("")])
    assert seen(builder) == (["a"], ["r"])


def test_what_changes_aside_is_known_once_it_counts():
    builder = started()
    builder.apply([gone(EAST, service("a", ("http", 80))), put(EAST, service("b", ("http", 80)))])
    builder.apply([put(EAST, namespace(mesh="here"))])
    assert seen(builder) == (["b"], ["r"])


def test_each_cluster_selects_by_its_own_labels():
    builder = started()
    builder.apply([put(WEST, service("a", ("http", 80))), put(WEST, namespace(mesh="here"))])
    (found,) = builder.mesh.services.values()
    assert found.clusters == (WEST,)


def test_what_is_wrong_is_kept_aside_with_the_last_good_one():
    builder = started()
    ref = put(EAST, RULE).key.ref
    wrong = Finding(ref=ref, code=Code.SCHEMA, message="is wrong", cluster=EAST)
    builder.apply([Change(put(EAST, RULE).key, wrong)])
    assert builder.mesh.findings == ()
    builder.apply([put(EAST, namespace(mesh="here"))])
    assert (seen(builder), builder.mesh.findings) == ((["a"], ["r"]), (wrong,))


def test_wrong_selectors_leave_the_last_good_ones():
    builder = started()
    builder.apply(
        [of_mesh("discoverySelectors: [{matchExpressions: [{key: a, operator: Is, values: [b]}]}]")]
    )
    assert seen(builder) == ([], [])
    assert [each.path for each in builder.mesh.findings] == [
        "$.data.mesh.discoverySelectors[0].matchExpressions[0].operator"
    ]
