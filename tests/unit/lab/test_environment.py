from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import CONFIG_MAPS, SECRETS, SERVICES, bare_api, config_map, pod, service
from fakes.quiet_node import quiet_node
from isthmus.lab.kubelet.environment import Missing, environment, expand, field_of, hosts_file


@pytest.fixture
async def node(tmp_path):
    api = await bare_api()
    yield quiet_node(api, tmp_path)
    api.store.close()


def with_env(*variables, **container):
    made = pod(labels={"app": "web", "a": 'say "hi"'}, nodeName="n1", serviceAccountName="shop")
    made["metadata"] |= {"uid": "u1", "annotations": {"k/x": "y"}}
    made["status"] = {"podIP": "10.124.0.9", "podIPs": [{"ip": "10.124.0.9"}], "hostIP": "10.138.0.2"}
    made["spec"]["containers"][0] |= {"env": list(variables), **container}
    return made


def seen(node, made):
    return environment(node, made, made["spec"]["containers"][0])


def variable(name, value=None, **source):
    return {"name": name, "valueFrom": source} if source else {"name": name, "value": value}


async def test_values_refer_to_those_before_them(node):
    made = with_env(
        variable("A", "a"),
        variable("B", "$(A)b"),
        variable("C", "$$(A) $(LATER) $(B)"),
        variable("LATER", "x"),
    )
    found = seen(node, made)
    assert (found["B"], found["C"]) == ("ab", "$(A) $(LATER) ab")


@given(st.text(alphabet="$)AB", max_size=12))
def test_text_without_references_only_loses_doubled_dollars(text):
    assert expand(text, {}) == text.replace("$$", "$")


@given(st.text(alphabet="$(AB", min_size=1, max_size=12))
def test_a_reference_to_an_unknown_name_stays_as_it_is(name):
    assert expand(f"$({name})", {}) == f"$({name})"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['k/x']", "y"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'a="say \\"hi\\""\napp="web"'),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "shop"),
        ("status.podIP", "10.124.0.9"),
        ("status.podIPs", "10.124.0.9"),
        ("status.hostIP", "10.138.0.2"),
    ],
)
async def test_a_field_of_the_pod_is_shown(node, path, value):
    assert field_of(with_env(), path) == value
    found = seen(node, with_env(variable("X", fieldRef={"fieldPath": path})))
    assert found["X"] == value


def test_a_field_that_may_not_be_shown_is_missing():
    with pytest.raises(Missing, match=r"unsupported fieldPath: spec\.containers"):
        field_of(with_env(), "spec.containers")


async def test_keys_of_config_maps_and_secrets_are_read(node):
    await node.api.create(CONFIG_MAPS, config_map(color="red"))
    secret = {"metadata": {"name": "keys", "namespace": "default"}}
    await node.api.create(SECRETS, secret | {"data": {"token": base64.b64encode(b"t0p").decode()}})
    made = with_env(
        variable("COLOR", configMapKeyRef={"name": "settings", "key": "color"}),
        variable("TOKEN", secretKeyRef={"name": "keys", "key": "token"}),
        variable("NONE", configMapKeyRef={"name": "settings", "key": "none", "optional": True}),
        variable("GONE", secretKeyRef={"name": "gone", "key": "none", "optional": True}),
        envFrom=[{"prefix": "S_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
    )
    found = seen(node, made)
    assert (found["COLOR"], found["TOKEN"], found["S_color"], found["token"]) == ("red", "t0p", "red", "t0p")
    assert not {"NONE", "GONE"} & found.keys()


async def test_what_is_not_there_and_not_optional_is_missing(node):
    with pytest.raises(Missing, match='configmap "settings" not found'):
        seen(node, with_env(variable("A", configMapKeyRef={"name": "settings", "key": "color"})))
    await node.api.create(CONFIG_MAPS, config_map(color="red"))
    with pytest.raises(Missing, match="couldn't find key size in ConfigMap default/settings"):
        seen(node, with_env(variable("A", configMapKeyRef={"name": "settings", "key": "size"})))
    with pytest.raises(Missing, match='secret "keys" not found'):
        seen(node, with_env(envFrom=[{"secretRef": {"name": "keys"}}]))


async def test_resources_are_shown_and_nothing_is_zero(node):
    made = with_env(
        variable("CPU", resourceFieldRef={"resource": "limits.cpu"}),
        variable("MEMORY", resourceFieldRef={"resource": "limits.memory"}),
        resources={"limits": {"cpu": "2"}},
    )
    found = seen(node, made)
    assert (found["CPU"], found["MEMORY"]) == ("2", "0")


async def test_services_of_the_namespace_are_in_the_environment(node):
    ports = [{"name": "http", "port": 80}, {"name": "grpc-web", "port": 81}]
    await node.api.create(SERVICES, service("my-shop", ports=ports, clusterIP="10.125.0.50"))
    await node.api.create(SERVICES, service("headless", clusterIP="None"))
    found = seen(node, with_env())
    assert found["MY_SHOP_SERVICE_HOST"] == "10.125.0.50"
    assert (found["MY_SHOP_SERVICE_PORT"], found["MY_SHOP_SERVICE_PORT_GRPC_WEB"]) == ("80", "81")
    assert found["KUBERNETES_SERVICE_HOST"] == "10.125.0.1"
    assert not [name for name in found if name.startswith("HEADLESS")]


async def test_a_pods_own_variables_win(node):
    found = seen(node, with_env(variable("KUBERNETES_SERVICE_HOST", "elsewhere")))
    assert found["KUBERNETES_SERVICE_HOST"] == "elsewhere"


def test_a_pods_hosts_are_itself_and_its_aliases():
    aliases = [{"ip": "240.0.0.1", "hostnames": ["db.example", "db"]}, {"ip": "240.0.0.2"}]
    assert hosts_file({"hostAliases": aliases}, ("10.124.0.9",), "web") == (
        "127.0.0.1 localhost\n10.124.0.9 web\n240.0.0.1 db.example db\n240.0.0.2\n"
    )
