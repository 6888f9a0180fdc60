from __future__ import annotations

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.console.offline import changes_of, mesh_of_files

TEXT = """
apiVersion: v1
kind: Service
metadata: {name: a, namespace: null}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1, namespace: wrong}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec: {hosts: [a], http: [{redirect: {uri: /}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
"""


def test_files_are_a_mesh(tmp_path):
    one, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text(TEXT)
    other.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {ports: [{port: 80}]}")
    mesh = mesh_of_files([one, other])
    assert sorted(key.name for key in mesh.services) == ["a", "b"]
    assert [each.metadata.namespace for each in mesh.of(VirtualService)] == ["shop"]
    assert not mesh.findings


def test_objects_without_a_namespace_are_in_the_default_one_and_nodes_in_none():
    found = {change.key.ref.kind: change for change in changes_of(TEXT, "a.yaml")}
    assert found["Service"].key.ref.namespace == found["Service"].value.metadata.namespace == "default"
    assert found["Node"].key.ref.namespace == found["Node"].value.metadata.namespace == ""
    assert set(found) == {"Service", "Node", "VirtualService"}


def test_an_object_without_metadata_is_read_with_what_it_has():
    (change,) = changes_of("apiVersion: v1\nkind: Pod", "a.yaml")
    assert change.value.metadata.namespace == "default"
