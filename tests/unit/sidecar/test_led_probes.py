"""Probes and hooks of containers, led to the agent by injection and back to where they were."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from isthmus.lab.kubelet.environment import expand
from isthmus.sidecar.environment import AgentFlags, agent_settings
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, inject_object, uninject_manifest
from isthmus.sidecar.inject.patch import without_sidecar
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectSettings

SETTINGS = InjectSettings(cluster="gke")
AGENT = {"POD_NAME": "a", "POD_NAMESPACE": "b", "INSTANCE_IP": "10.0.0.1"}
APP = """
name: app
ports: [{name: health, containerPort: 8080}, {name: "90", containerPort: 91}]
readinessProbe:
  httpGet: {port: health, path: '/ready?a=$(HOME)', scheme: HTTPS, httpHeaders: [{name: Host, value: x}]}
  timeoutSeconds: 3
  periodSeconds: 7
livenessProbe: {tcpSocket: {port: "90"}, failureThreshold: 9}
startupProbe: {grpc: {port: 7070, service: null}}
lifecycle:
  preStop: {httpGet: {port: 8080, path: /stop}}
  postStart: {exec: {command: ["true"]}}
"""


def pod(*containers: dict, **more: object) -> dict:
    annotations = more.pop("annotations", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", **({"annotations": annotations} if annotations else {})},
        "spec": {"containers": list(containers), **more},
    }


def injected(document: dict, settings: InjectSettings = SETTINGS) -> dict:
    return inject_object(document, settings, "default")[0]


def named(document: dict, name: str) -> dict:
    everywhere = [*document["spec"]["containers"], *document["spec"]["initContainers"]]
    return next(each for each in everywhere if each["name"] == name)


def asked(document: dict) -> dict:
    """What the agent is told, after the kubelet has read it."""
    found = {each["name"]: each.get("value") for each in named(document, "istio-proxy")["env"]}
    return json.loads(expand(found["ISTIO_KUBE_APP_PROBERS"], {"HOME": "/root"}))


def restored(document: dict) -> dict:
    return without_sidecar(Pod(document["metadata"], document["spec"], "default", "a", "Pod")).spec


def test_the_kubelet_asks_the_agent_and_the_agent_the_application():
    found = injected(pod(yaml.safe_load(APP)))
    app = named(found, "app")
    assert app["readinessProbe"] == {
        "httpGet": {"path": "/app-health/app/readyz", "port": 15020},
        "timeoutSeconds": 3,
        "periodSeconds": 7,
    }
    assert app["livenessProbe"] == {
        "httpGet": {"path": "/app-health/app/livez", "port": 15020},
        "failureThreshold": 9,
    }
    assert app["startupProbe"] == {"httpGet": {"path": "/app-health/app/startupz", "port": 15020}}
    assert app["lifecycle"] == {
        "preStop": {"httpGet": {"path": "/app-lifecycle/app/prestopz", "port": 15020}},
        "postStart": {"exec": {"command": ["true"]}},
    }
    assert asked(found) == {
        "/app-health/app/readyz": {
            "httpGet": {
                "port": 8080,
                "path": "/ready?a=$(HOME)",
                "scheme": "HTTPS",
                "httpHeaders": [{"name": "Host", "value": "x"}],
            },
            "timeoutSeconds": 3,
        },
        "/app-health/app/livez": {"tcpSocket": {"port": 91}},
        "/app-health/app/startupz": {"grpc": {"port": 7070}},
        "/app-lifecycle/app/prestopz": {
            "httpGet": {"port": 8080, "path": "/stop"},
            "timeoutSeconds": 3600,
        },
    }


def test_files_are_led_as_objects_are():
    text = yaml.safe_dump(pod(yaml.safe_load(APP)), sort_keys=False)
    once = inject_manifest(text, SETTINGS).text
    found, meant = yaml.safe_load(once), injected(pod(yaml.safe_load(APP)))
    assert found["spec"] == meant["spec"]
    assert uninject_manifest(once).text == text
    assert inject_manifest(once, SETTINGS).text == once


def test_the_agent_reads_what_injection_tells_it():
    proxy = named(injected(pod(yaml.safe_load(APP))), "istio-proxy")
    told = {each["name"]: expand(each.get("value", ""), {}) for each in proxy["env"]}
    settings = agent_settings({**told, **AGENT}, AgentFlags())
    assert set(settings.probes) == {
        "/app-health/app/readyz",
        "/app-health/app/livez",
        "/app-health/app/startupz",
        "/app-lifecycle/app/prestopz",
    }
    assert settings.probes["/app-health/app/readyz"].http_get.path == "/ready?a=$(HOME)"
    assert settings.here == ("10.0.0.1", "")
    by_user = injected(pod(yaml.safe_load(APP)), InjectSettings(cluster="gke", by_user=True))
    told = {each["name"]: each.get("value", "") for each in named(by_user, "istio-proxy")["env"]}
    assert agent_settings({**told, **AGENT}, AgentFlags()).here == ("10.0.0.1", "127.0.0.6")


@pytest.mark.parametrize(
    "probe",
    [
        {"exec": {"command": ["true"]}},
        {"httpGet": {"port": 80, "host": "127.0.0.1"}},
        {"httpGet": {"port": "nobody"}},
        {"httpGet": {"port": 0}},
        {"httpGet": {"port": 70000}},
        {"httpGet": {"port": 80, "httpHeaders": "x"}},
        {"httpGet": {"port": 80}, "timeoutSeconds": "soon"},
        {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}},
        {"httpGet": "all"},
        {},
        "text",
    ],
)
def test_what_the_agent_cannot_ask_stays_as_it_is(probe: object):
    found = injected(pod({"name": "app", "readinessProbe": probe}))
    assert named(found, "app") == {"name": "app", "readinessProbe": probe}
    assert "ISTIO_KUBE_APP_PROBERS" not in [each["name"] for each in named(found, "istio-proxy")["env"]]


@pytest.mark.parametrize(
    ("annotations", "settings"),
    [
        ({"sidecar.istio.io/rewriteAppHTTPProbers": "false"}, SETTINGS),
        ({"status.sidecar.istio.io/port": "0"}, SETTINGS),
        ({}, InjectSettings(cluster="gke", rewrite_probes=False)),
    ],
)
def test_probes_stay_where_somebody_wants_it(annotations: dict, settings: InjectSettings):
    app = yaml.safe_load(APP)
    assert named(injected(pod(app, annotations=annotations), settings), "app") == app


def test_a_pod_may_want_it_where_the_mesh_does_not():
    annotations = {"sidecar.istio.io/rewriteAppHTTPProbers": "true"}
    found = injected(
        pod(yaml.safe_load(APP), annotations=annotations), InjectSettings(cluster="gke", rewrite_probes=False)
    )
    assert asked(found)


def test_the_agent_answers_where_the_pod_says_and_capture_lets_the_kubelet_there():
    found = injected(pod(yaml.safe_load(APP), annotations={"status.sidecar.istio.io/port": "15999"}))
    assert named(found, "app")["readinessProbe"]["httpGet"]["port"] == 15999
    assert "--exclude-inbound-ports=15999" in named(found, "istio-init")["args"]
    told = {each["name"]: each.get("value", "") for each in named(found, "istio-proxy")["env"]}
    assert agent_settings({**told, **AGENT}, AgentFlags()).status_port == 15999


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sidecar.istio.io/rewriteAppHTTPProbers", "maybe", "'maybe' is neither true nor false"),
        ("status.sidecar.istio.io/port", "http", "not a port: 'http'"),
        ("status.sidecar.istio.io/port", "65536", "not a port: '65536'"),
        ("status.sidecar.istio.io/port", "15006", "15006"),
    ],
)
def test_a_wrong_word_of_a_pod_is_named(name: str, value: str, said: str):
    with pytest.raises(InvalidManifest, match=f"Pod default/a: {name}: .*{said}"):
        injected(pod({"name": "app"}, annotations={name: value}))


def test_a_hook_at_the_start_has_the_agent_started_first():
    app = {"name": "app", "lifecycle": {"postStart": {"httpGet": {"port": 80}}}}
    found = injected(pod(app))
    assert [each["name"] for each in found["spec"]["containers"]] == ["istio-proxy", "app"]
    assert "postStart" in named(found, "istio-proxy")["lifecycle"]


def test_containers_that_start_before_the_agent_are_asked_by_it_only_later():
    hook = {"httpGet": {"port": 80}}
    early = {
        "name": "early",
        "restartPolicy": "Always",
        "startupProbe": hook,
        "readinessProbe": hook,
        "lifecycle": {"postStart": hook, "preStop": hook},
    }
    once = {"name": "once", "image": "x"}
    found = injected(pod({"name": "app"}, initContainers=[once, early]))
    assert set(asked(found)) == {"/app-health/early/readyz", "/app-lifecycle/early/prestopz"}
    assert named(found, "early")["startupProbe"] == hook
    assert restored(found)["initContainers"] == [once, early]


def test_what_somebody_changed_after_injection_stays():
    found = injected(pod(yaml.safe_load(APP)))
    now = {"httpGet": {"port": 9999}}
    named(found, "app")["livenessProbe"] = now
    named(found, "app")["readinessProbe"]["periodSeconds"] = 1
    (app,) = restored(found)["containers"]
    assert app["livenessProbe"] == now
    assert app["readinessProbe"]["httpGet"]["port"] == "health"
    assert app["readinessProbe"]["periodSeconds"] == 1


@pytest.mark.parametrize("status", ['{"probes": 1}', '{"probes": {"/app-health/app/livez": 1}}', "[]", "{"])
def test_a_status_that_somebody_broke_breaks_nothing(status: str):
    document = pod({"name": "app"}, annotations={"sidecar.istio.io/status": status})
    assert named(injected(document), "app") == {"name": "app"}


PORTS = st.one_of(st.integers(-1, 70_000), st.sampled_from(["health", "80", "no", ""]), st.none())
ACTIONS = st.fixed_dictionaries(
    {"port": PORTS}, optional={"path": st.text(), "host": st.text(max_size=3), "scheme": st.just("HTTPS")}
)
PROBES = st.dictionaries(
    st.sampled_from(["httpGet", "tcpSocket", "grpc", "exec"]), st.one_of(ACTIONS, st.none()), max_size=2
)
CONTAINERS = st.fixed_dictionaries(
    {"name": st.sampled_from(["app", "b-1"])},
    optional={
        "ports": st.just([{"name": "health", "containerPort": 8080}]),
        "readinessProbe": PROBES,
        "livenessProbe": PROBES,
        "startupProbe": PROBES,
        "restartPolicy": st.just("Always"),
        "lifecycle": st.dictionaries(st.sampled_from(["preStop", "postStart"]), PROBES),
    },
)


@given(
    st.lists(CONTAINERS, min_size=1, max_size=2, unique_by=lambda each: each["name"]),
    st.sampled_from([{}, {"sidecar.istio.io/rewriteAppHTTPProbers": "false"}]),
)
def test_whatever_probes_there_are_they_come_back(containers: list, annotations: dict):
    document = pod(*containers, annotations=annotations)
    once = injected(document)
    assert injected(once) == once
    assert restored(once) == document["spec"]
    told = {each["name"]: expand(each.get("value", ""), {}) for each in named(once, "istio-proxy")["env"]}
    agent_settings({**told, **AGENT}, AgentFlags())
