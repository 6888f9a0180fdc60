"""WasmPlugin by itself: every field is read. What is wrong is told in the golden wasm-plugins/left-out."""

from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents

EVERYTHING = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: everything, namespace: default}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a}
  targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: b}]
  url: https://modules.example/a.wasm
  sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  imagePullPolicy: Always
  imagePullSecret: secret
  verificationKey: key
  pluginConfig: {a: {b: [1, two, null]}}
  pluginName: root
  phase: AUTHZ
  priority: -3
  failStrategy: FAIL_RELOAD
  vmConfig: {env: [{name: A, value: b}, {name: C, valueFrom: HOST}]}
  match: [{mode: SERVER, ports: [{number: 80}]}]
  type: NETWORK
"""


def read(text):
    (found,) = documents(text)
    return decode(kind_named("WasmPlugin"), found.value).spec


def test_every_field_is_read():
    spec = read(EVERYTHING)
    assert spec.target_ref.name == "a"
    assert [each.kind for each in spec.target_refs] == ["GatewayClass"]
    assert (spec.url, spec.sha256[:4]) == ("https://modules.example/a.wasm", "0123")
    assert (spec.image_pull_policy, spec.image_pull_secret) == ("Always", "secret")
    assert spec.verification_key == "key"
    assert spec.plugin_config == {"a": {"b": [1, "two", None]}}
    assert (spec.plugin_name, spec.phase, spec.priority, spec.type) == ("root", "AUTHZ", -3, "NETWORK")
    assert spec.fail_strategy == "FAIL_RELOAD"
    assert [(each.name, each.value_from, each.value) for each in spec.vm_config.env] == [
        ("A", "INLINE", "b"),
        ("C", "HOST", ""),
    ]
    assert [(each.mode, each.ports[0].number) for each in spec.match] == [("SERVER", 80)]


@pytest.mark.parametrize("url", ["http://[x/a", "http:///a.wasm", "http://a:99999/b", "", "gopher://a"])
def test_what_is_no_place_of_a_module_is_refused(url):
    wrong = EVERYTHING.replace("https://modules.example/a.wasm", f"'{url}'")
    with pytest.raises(InvalidConfig) as raised:
        read(wrong)
    assert [path for path, _ in raised.value.problems] == ["$.spec.url"]
