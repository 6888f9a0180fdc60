"""Each annotation of a pod has its effect, and all that is wrong with them is told at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from isthmus.sidecar.agent import bootstrap_settings
from isthmus.sidecar.bootstrap import bootstrap_json
from isthmus.sidecar.environment import AgentFlags, agent_settings
from isthmus.sidecar.inject.annotations import READERS
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, inject_object, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings, read_settings

SETTINGS = InjectSettings(cluster="gke", image="hub/isthmus:1")


def workload(kind: str = "Deployment", api: str = "apps/v1", **template: object) -> dict:
    made = {"spec": {"containers": [{"name": "app", "image": "i"}]}, **template}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "a"}, "spec": {"template": made}}


def injected(settings: InjectSettings = SETTINGS, **annotations: str) -> dict:
    said = {name.replace("__", "/").replace("_", "."): text for name, text in annotations.items()}
    made, _ = inject_object(workload(metadata={"annotations": said}), settings, "default")
    return made["spec"]["template"]


def of(found: dict, name: str = "istio-proxy") -> dict:
    spec = found["spec"]
    return next(
        each for each in (*spec["containers"], *spec.get("initContainers", [])) if each["name"] == name
    )


def environment(found: dict) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in of(found)["env"]}


def test_levels_of_logs():
    args = of(
        injected(
            sidecar_istio_io__logLevel="Debug",
            sidecar_istio_io__componentLogLevel="upstream:debug, http:trace",
            sidecar_istio_io__agentLogLevel="default:info",
        )
    )["args"]
    assert {
        "--log-level=debug",
        "--component-log-level=upstream:debug,http:trace",
        "--agent-log-level=info",
    } < {*args}


def test_image_and_its_build():
    assert of(injected(sidecar_istio_io__proxyImageType="debug"))["image"] == "hub/isthmus:1-debug"
    assert of(injected(sidecar_istio_io__proxyImage="mine"), "istio-init")["image"] == "mine"


def test_readiness_of_the_proxy():
    ready = "readiness_status_sidecar_istio_io__"
    said = {ready + "initialDelaySeconds": "0", ready + "periodSeconds": "7", ready + "failureThreshold": "9"}
    probe = of(injected(**said))["readinessProbe"]
    assert (probe["initialDelaySeconds"], probe["periodSeconds"], probe["failureThreshold"]) == (0, 7, 9)
    assert "readinessProbe" not in of(injected(status_sidecar_istio_io__port="0"))


def test_a_request_beyond_the_limit_of_the_mesh_lifts_it_and_one_beyond_the_pods_own_is_refused():
    found = of(injected(sidecar_istio_io__proxyCPU="3", sidecar_istio_io__proxyMemoryLimit="32Mi"))[
        "resources"
    ]
    assert found == {"requests": {"cpu": "3", "memory": "32Mi"}, "limits": {"memory": "32Mi"}}
    with pytest.raises(InvalidManifest, match="proxyCPULimit: '1' is less than what is requested"):
        injected(sidecar_istio_io__proxyCPU="1100m", sidecar_istio_io__proxyCPULimit="1")


def test_interfaces_are_passed_to_capture():
    traffic = "traffic_sidecar_istio_io__"
    found = injected(
        **{traffic + "excludeInterfaces": "eth1, net1", traffic + "kubevirtInterfaces": "k6t-eth0"}
    )
    args = of(found, "istio-init")["args"]
    assert {"--exclude-interfaces=eth1,net1", "--virtual-interfaces=k6t-eth0"} < {*args}


def test_without_capture_there_is_no_container_for_it():
    found = injected(sidecar_istio_io__interceptionMode="NONE")
    assert "initContainers" not in found["spec"]
    assert environment(found)["ISTIO_META_INTERCEPTION_MODE"] == "NONE"
    assert found["metadata"]["labels"]["security.istio.io/tlsMode"] == "disabled"


@pytest.mark.parametrize("own", ["annotation", "config"])
def test_by_tproxy_callers_keep_their_addresses(own: str):
    said = {"sidecar_istio_io__interceptionMode": "TPROXY"}
    if own == "config":
        said = {"proxy_istio_io__config": "interceptionMode: TPROXY"}
    found = injected(**said)
    assert "--keeps-source=True" in of(found, "istio-init")["args"]
    assert environment(found)["ISTIO_META_INTERCEPTION_MODE"] == "TPROXY"
    assert of(found)["securityContext"]["capabilities"]["add"] == ["NET_ADMIN"]


def test_tproxy_is_refused_where_the_sidecar_may_not_administer_the_network():
    with pytest.raises(
        InvalidManifest, match=r"interceptionMode: TPROXY takes CAP_NET_ADMIN .*hint: REDIRECT"
    ):
        injected(replace(SETTINGS, by_user=True), sidecar_istio_io__interceptionMode="TPROXY")


def test_a_bootstrap_may_be_overridden(tmp_path: Path):
    found = injected(sidecar_istio_io__bootstrapOverride="mine")
    volume = {"name": "custom-bootstrap-volume", "configMap": {"name": "mine"}}
    assert volume in found["spec"]["volumes"]
    file = environment(found)["ISTIO_BOOTSTRAP_OVERRIDE"]
    mounted = of(found)["volumeMounts"][-1]
    assert file == f"{mounted['mountPath']}/custom_bootstrap.json"


def test_metrics_are_where_prometheus_is_told_that_they_are():
    found = injected(prometheus_io__port="9090", prometheus_io__scrape="true")
    annotations = found["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "15020"
    assert annotations["prometheus.io/path"] == "/stats/prometheus"
    assert json.loads(environment(found)["ISTIO_PROMETHEUS_ANNOTATIONS"])["port"] == "9090"
    left = injected(prometheus_io__port="9090", prometheus_io__scrape="false")
    assert left["metadata"]["annotations"]["prometheus.io/port"] == "9090"


def test_statistics_as_a_pod_wants_them_are_in_its_bootstrap(tmp_path: Path):
    said = {
        "sidecar.istio.io/statsInclusionPrefixes": "own.",
        "sidecar.istio.io/statsInclusionRegexps": "a.*b",
        "sidecar.istio.io/extraStatTags": "tenant",
        "sidecar.istio.io/statsHistogramBuckets": '{"cluster.": [1, 5.5]}',
        "sidecar.istio.io/statsEvictionInterval": "2m",
    }
    (tmp_path / "annotations").write_text(
        "".join(f"{name}={json.dumps(text)}\n" for name, text in said.items())
    )
    variables = {
        "POD_NAME": "p", "POD_NAMESPACE": "n", "INSTANCE_IP": "10.0.0.1", "ISTIO_META_CLUSTER_ID": "gke",
        "ISTHMUS_PODINFO": str(tmp_path),
    }  # fmt: skip
    settings = agent_settings(variables, AgentFlags())
    tree = json.loads(bootstrap_json(bootstrap_settings(settings, tmp_path)))
    patterns = tree["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"prefix": "own."} in patterns
    assert {"safe_regex": {"regex": "a.*b"}} in patterns
    assert "tenant" in {each["tag_name"] for each in tree["stats_config"]["stats_tags"]}
    assert tree["stats_config"]["histogram_bucket_settings"] == [
        {"match": {"prefix": "cluster."}, "buckets": [1.0, 5.5]}
    ]
    assert tree["stats_eviction_interval"] == "120s"


@pytest.mark.parametrize("version", ["v1.32.9", "v1.33.0", "v1.34.1+k3s1", ""])
def test_proxies_are_native_where_the_cluster_has_such_and_pods_may_say_otherwise(version: str):
    settings = replace(SETTINGS, kubernetes=version)
    is_native = version >= "v1.33"
    for said, wanted in (({}, is_native), ({"sidecar_istio_io__nativeSidecar": "true"}, True)):
        spec = injected(settings, **said)["spec"]
        names = [each["name"] for each in spec["containers"]]
        assert names == (["app"] if wanted else ["app", "istio-proxy"])
        proxy = of({"spec": spec})
        assert (proxy.get("restartPolicy") == "Always") is wanted
        assert ("startupProbe" in proxy) is wanted
    spec = injected(settings, sidecar_istio_io__nativeSidecar="false")["spec"]
    assert len(spec["containers"]) == 2


def test_a_native_proxy_runs_before_what_the_application_fetches_first_and_drains_from_the_pods_first_moment_on():
    made = workload()
    made["spec"]["template"]["spec"]["initContainers"] = [{"name": "fetch", "image": "i"}]
    found, _ = inject_object(made, replace(SETTINGS, native_sidecars=True), "default")
    inits = found["spec"]["template"]["spec"]["initContainers"]
    assert [each["name"] for each in inits] == ["istio-init", "istio-proxy", "fetch"]
    assert "drain_listeners" in json.dumps(inits[1]["lifecycle"]["preStop"])
    variables = environment(found["spec"]["template"])
    assert variables["EXIT_ON_ZERO_ACTIVE_CONNECTIONS"] == "true"


WRONG = {
    "sidecar.istio.io/logLevel": "loud",
    "sidecar.istio.io/componentLogLevel": "debug",
    "sidecar.istio.io/agentLogLevel": "default:loud",
    "sidecar.istio.io/nativeSidecar": "perhaps",
    "sidecar.istio.io/rewriteAppHTTPProbers": "perhaps",
    "sidecar.istio.io/proxyCPU": "many",
    "sidecar.istio.io/proxyCPULimit": "-1",
    "sidecar.istio.io/proxyMemory": "1MB",
    "sidecar.istio.io/proxyMemoryLimit": "1 Gi",
    "sidecar.istio.io/proxyImage": "a b",
    "sidecar.istio.io/proxyImageType": "a/b",
    "sidecar.istio.io/interceptionMode": "PROXY",
    "sidecar.istio.io/bootstrapOverride": "Not_A_Name",
    "sidecar.istio.io/discoveryAddress": "nobody",
    "sidecar.istio.io/userVolume": "[]",
    "sidecar.istio.io/userVolumeMount": "{",
    "sidecar.istio.io/statsInclusionRegexps": "(",
    "sidecar.istio.io/extraStatTags": "a-b",
    "sidecar.istio.io/statsHistogramBuckets": '{"a": [5, 1]}',
    "sidecar.istio.io/statsEvictionInterval": "0s",
    "status.sidecar.istio.io/port": "9223372036854775808",
    "prometheus.istio.io/merge-metrics": "perhaps",
    "readiness.status.sidecar.istio.io/initialDelaySeconds": "-1",
    "readiness.status.sidecar.istio.io/periodSeconds": "0",
    "readiness.status.sidecar.istio.io/failureThreshold": "1e3",
}
NEVER_WRONG = {
    "inject.istio.io/templates",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionSuffixes",
}


def test_all_that_is_wrong_is_told_at_once():
    assert WRONG.keys() | NEVER_WRONG == READERS.keys()
    with pytest.raises(InvalidManifest) as caught:
        inject_object(workload(metadata={"annotations": WRONG}), SETTINGS, "default")
    assert [name for name in WRONG if f"{name}: " not in str(caught.value)] == []


@pytest.mark.parametrize("port", ["9223372036854775808", "-1", "0", "65536", "1" * 5000, "80a", "٣", "1.0"])
@pytest.mark.parametrize("name", ["includeInboundPorts", "excludeInboundPorts", "excludeOutboundPorts"])
def test_what_is_no_port_is_named(name: str, port: str):
    with pytest.raises(InvalidManifest, match=f"{name}: not a port: '.*hint: a number from 1 to 65535"):
        injected(**{f"traffic_sidecar_istio_io__{name}": f"80, {port}"})


TEMPLATES = """
templates:
  greeting: |
    metadata: {labels: {team: "{{ index .ObjectMeta.Labels "app" }}"}}
    spec:
      priorityClassName: high
      containers:
      - name: istio-proxy
        env: [{name: GREETING, value: "hello from {{ .DeploymentMeta.Name }}"}]
      - name: app
        env: [{name: SEEN, value: "yes"}]
      - name: further
        image: f
  broken: "spec: {{ .Values.x }}"
aliases: {both: [sidecar, greeting]}
"""


def test_a_pod_names_templates_of_the_config_map_which_are_laid_over_its_sidecar_and_go_with_it():
    settings = replace(read_settings("cluster: gke", TEMPLATES))
    meta = {"annotations": {"inject.istio.io/templates": "both"}, "labels": {"app": "shop"}}
    text = yaml.safe_dump(workload(metadata=meta), sort_keys=False)
    out = inject_manifest(text, settings).text
    template = yaml.safe_load(out)["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "shop"
    assert template["spec"]["priorityClassName"] == "high"
    assert environment(template)["GREETING"] == "hello from a"
    assert of(template, "app")["env"] == [{"name": "SEEN", "value": "yes"}]
    assert of(template, "further")["image"] == "f"
    assert inject_manifest(out, settings).text == out
    assert uninject_manifest(out).text == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", r"there is no template nobody \(hint: sidecar, gateway, greeting, broken, both\)"),
        ("sidecar,broken", r"\{\{ .Values.x \}\} is not known \(hint: .ObjectMeta.Name"),
    ],
)
def test_templates_that_are_not_there_or_ask_for_what_is_not_known_are_named(name: str, said: str):
    with pytest.raises(InvalidManifest, match=said):
        injected(read_settings("cluster: gke", TEMPLATES), inject_istio_io__templates=name)


def test_a_pod_may_be_a_gateway():
    meta = {"annotations": {"inject.istio.io/templates": "gateway"}}
    own = {"containers": [{"name": "istio-proxy", "image": "auto", "ports": [{"containerPort": 80}]}]}
    text = yaml.safe_dump(workload(metadata=meta, spec=own))
    out = inject_manifest(text, SETTINGS).text
    spec = yaml.safe_load(out)["spec"]["template"]["spec"]
    (proxy,) = spec["containers"]
    assert (proxy["args"][1], proxy["image"]) == ("router", SETTINGS.image)
    assert {each["containerPort"] for each in proxy["ports"]} == {80, 15090}
    assert "initContainers" not in spec
    assert uninject_manifest(out).text == text


@pytest.mark.parametrize(
    ("kind", "api"), [("DeploymentConfig", "apps.openshift.io/v1"), ("Rollout", "argoproj.io/v1alpha1")]
)
def test_workloads_of_others_are_injected(kind: str, api: str):
    _, outcome = inject_object(workload(kind, api), SETTINGS, "default")
    assert outcome == (f"{kind} default/a", True, "injection is enabled here")
