import json
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.model.proxy_config import read_proxy_config
from isthmus.sidecar.inject.annotations import InvalidAnnotation
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, inject_object, uninject_manifest
from isthmus.sidecar.inject.patch import json_patch, without_sidecar
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.rules import INJECT, Policy, decide
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.status import STATUS

SETTINGS = InjectSettings(cluster="gke", network="gke-net")
BOOKINFO = Path(__file__).parents[3] / "samples" / "bookinfo" / "kube"

REVIEWS = """\
# Reviews, third version.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: reviews-v3
spec:
  template:
    metadata:
      labels: {app: reviews, version: v3}
    spec:
      serviceAccountName: bookinfo-reviews
      containers:
        - name: reviews
          image: reviews:v3
          ports:
            - containerPort: 9080
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: reviews   # a comment that must stay
spec: {ports: [{port: 9080}]}
"""


def pod(**spec: object) -> Pod:
    return Pod({"labels": {}}, {"containers": [{"name": "app"}], **spec}, "default", "app", "Deployment")


def injected(text: str, settings: InjectSettings = SETTINGS) -> dict:
    (document,) = yaml.safe_load_all(inject_manifest(text, settings).text)
    return document["spec"]["template"]


def annotated(**annotations: str) -> str:
    document = yaml.safe_load(REVIEWS)
    document["spec"]["template"]["metadata"]["annotations"] = {
        key.replace("__", "/").replace("_", "."): value for key, value in annotations.items()
    }
    return yaml.safe_dump(document)


def container(template: dict, name: str = "istio-proxy", among: str = "containers") -> dict:
    return next(each for each in template["spec"][among] if each["name"] == name)


def test_a_deployment_gets_capture_and_a_proxy():
    template = injected(REVIEWS)
    assert [each["name"] for each in template["spec"]["containers"]] == ["reviews", "istio-proxy"]
    assert [each["name"] for each in template["spec"]["initContainers"]] == ["istio-init"]
    assert container(template)["args"][:2] == ["agent", "sidecar"]
    assert container(template, "istio-init", "initContainers")["args"] == [
        "agent",
        "capture",
        "--dns-port=15053",
    ]
    assert container(template)["readinessProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021}


def test_the_proxy_is_told_its_cluster_and_who_it_is():
    environment = {each["name"]: each for each in container(injected(REVIEWS))["env"]}
    assert environment["ISTIO_META_CLUSTER_ID"]["value"] == "gke"
    assert environment["ISTIO_META_NETWORK"]["value"] == "gke-net"
    assert environment["CA_ADDR"]["value"] == "istio-citadel.istio-system.svc.cluster.local:8060"
    assert environment["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert environment["ISTIO_META_WORKLOAD_NAME"]["value"] == "reviews-v3"
    owner = "kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v3"
    assert environment["ISTIO_META_OWNER"]["value"] == owner
    assert json.loads(environment["ISTIO_META_POD_PORTS"]["value"]) == [{"containerPort": 9080}]


def test_the_token_is_for_citadel_alone_and_all_mounts_have_volumes():
    template = injected(REVIEWS)
    volumes = {each["name"]: each for each in template["spec"]["volumes"]}
    (source,) = volumes["istio-token"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "istio-ca"
    assert volumes["istiod-ca-cert"]["configMap"]["name"] == "istio-ca-root-cert"
    assert {each["name"] for each in container(template)["volumeMounts"]} == set(volumes)


def test_labels_say_that_it_speaks_mutual_tls_and_what_it_is():
    labels = injected(REVIEWS)["metadata"]["labels"]
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert labels["service.istio.io/canonical-name"] == "reviews"
    assert labels["service.istio.io/canonical-revision"] == "v3"
    assert labels["app"] == "reviews"


def test_the_status_lists_what_was_added():
    template = injected(REVIEWS)
    status = json.loads(template["metadata"]["annotations"][STATUS])
    assert status["containers"] == ["istio-proxy"]
    assert status["initContainers"] == ["istio-init"]
    assert set(status["volumes"]) == {each["name"] for each in template["spec"]["volumes"]}
    assert len(status["version"]) == 64


def test_to_inject_twice_is_to_inject_once():
    once = inject_manifest(REVIEWS, SETTINGS).text
    assert inject_manifest(once, SETTINGS).text == once


def test_to_inject_again_with_other_settings_replaces_the_sidecar():
    once = inject_manifest(REVIEWS, SETTINGS).text
    other = replace(SETTINGS, cluster="onprem", image="other:1", by_user=True)
    assert inject_manifest(once, other).text == inject_manifest(REVIEWS, other).text


def test_what_was_injected_can_be_taken_out_again():
    before = yaml.safe_load(REVIEWS)["spec"]["template"]
    template = injected(REVIEWS)
    bare = without_sidecar(Pod(template["metadata"], template["spec"], "default", "x", "Deployment"))
    assert bare.spec == before["spec"]


def test_a_file_without_its_sidecars_is_what_it_was():
    once = inject_manifest(REVIEWS, SETTINGS)
    bare = uninject_manifest(f"{SERVICE}---\n{once.text}")
    assert [*yaml.safe_load_all(bare.text)] == [yaml.safe_load(SERVICE), yaml.safe_load(REVIEWS)]
    assert bare.text.startswith(SERVICE)
    again = uninject_manifest(bare.text)
    assert again.text == bare.text
    assert [each.reason for each in again.outcomes] == ["it has no sidecar that was injected"]


def test_labels_that_were_there_before_stay():
    text = REVIEWS.replace("app: reviews,", "app: reviews, security.istio.io/tlsMode: disabled,")
    once = inject_manifest(text, SETTINGS).text
    template = yaml.safe_load(once)["spec"]["template"]
    assert template["metadata"]["labels"]["security.istio.io/tlsMode"] == "disabled"
    assert yaml.safe_load(uninject_manifest(once).text) == yaml.safe_load(text)


def test_what_has_no_pods_comes_out_letter_by_letter():
    stream = f"{SERVICE}---\n{REVIEWS}---\n{SERVICE}"
    text = inject_manifest(stream, SETTINGS).text
    assert text.startswith(SERVICE + "---\n")
    assert text.endswith("---\n" + SERVICE)
    assert len(list(yaml.safe_load_all(text))) == 3
    assert inject_manifest(SERVICE, SETTINGS).text == SERVICE


def test_neither_empty_documents_nor_comments_are_lost_or_fail():
    stream = "---\n# only a comment\n---\n" + SERVICE + "--- # next\n" + REVIEWS
    documents = [each for each in yaml.safe_load_all(inject_manifest(stream, SETTINGS).text) if each]
    assert [each["kind"] for each in documents] == ["Service", "Deployment"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "template")),
        ("DaemonSet", ("spec", "template")),
        ("ReplicaSet", ("spec", "template")),
        ("StatefulSet", ("spec", "template")),
        ("Job", ("spec", "template")),
        ("CronJob", ("spec", "jobTemplate", "spec", "template")),
        ("Pod", ()),
    ],
)
def test_every_kind_with_pods_is_injected(kind: str, path: tuple[str, ...]):
    inner: dict = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "app"}]}}
    for key in reversed(path):
        inner = {key: inner}
    document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **inner}
    found, outcome = inject_object(document, SETTINGS, "default")
    assert outcome.changed
    assert outcome.workload == f"{kind} default/x"
    for key in path:
        found = found[key]
    assert len(found["spec"]["containers"]) == 2


def test_a_list_is_injected_inside():
    items = [yaml.safe_load(SERVICE), yaml.safe_load(REVIEWS)]
    injection = inject_manifest(
        yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}), SETTINGS
    )
    found = yaml.safe_load(injection.text)["items"]
    assert found[0] == items[0]
    assert len(found[1]["spec"]["template"]["spec"]["containers"]) == 2
    assert [outcome.workload for outcome in injection.outcomes] == ["Deployment default/reviews-v3"]


def test_who_uses_the_network_of_the_node_is_left_alone():
    assert not decide(pod(hostNetwork=True)).inject
    text = REVIEWS.replace("      containers:", "      hostNetwork: true\n      containers:")
    injection = inject_manifest(text, SETTINGS)
    assert injection.text == text
    assert "network of its node" in injection.outcomes[0].reason


@pytest.mark.parametrize(
    ("value", "policy", "inject"),
    [
        ("false", Policy.ENABLED, False),
        ("no", Policy.ENABLED, False),
        ("true", Policy.DISABLED, True),
        ("Y", Policy.DISABLED, True),
        (None, Policy.ENABLED, True),
        (None, Policy.DISABLED, False),
    ],
)
def test_the_pods_own_word_wins_over_the_policy(value: str | None, policy: Policy, inject: bool):
    said = {INJECT: value} if value else {}
    plain = pod()
    assert decide(plain._replace(metadata={"annotations": said}), policy).inject is inject
    assert decide(plain._replace(metadata={"labels": said}), policy).inject is inject


def test_namespaces_of_kubernetes_are_left_alone():
    assert not decide(pod()._replace(namespace="kube-system")).inject


def test_annotations_change_what_is_captured():
    template = injected(
        annotated(
            traffic_sidecar_istio_io__includeOutboundIPRanges="10.0.0.0/8",
            traffic_sidecar_istio_io__excludeInboundPorts="9090,40000",
        )
    )
    assert container(template, "istio-init", "initContainers")["args"] == [
        "agent",
        "capture",
        "--include-outbound-ranges=10.0.0.0/8",
        "--exclude-inbound-ports=9090,40000",
        "--dns-port=15053",
    ]


def environment(template: dict) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(template)["env"]}


DNS_OFF = "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'false'}"


def test_a_pod_may_keep_its_dns_for_itself():
    template = injected(annotated(proxy_istio_io__config=DNS_OFF))
    assert container(template, "istio-init", "initContainers")["args"] == ["agent", "capture"]
    assert environment(template)["ISTIO_META_DNS_CAPTURE"] == ""
    assert environment(injected(REVIEWS))["ISTIO_META_DNS_CAPTURE"] == "true"


@pytest.mark.parametrize("text", ["a: [", "text", "proxyMetadata: text"])
def test_a_configuration_of_the_proxy_that_cannot_be_read_is_refused(text: str):
    with pytest.raises((InvalidAnnotation, InvalidManifest), match=r"proxy\.istio\.io/config"):
        injected(annotated(proxy_istio_io__config=text))


def test_annotations_change_image_and_resources():
    template = injected(
        annotated(
            sidecar_istio_io__proxyImage="mine:2",
            sidecar_istio_io__proxyCPU="200m",
            sidecar_istio_io__proxyMemoryLimit="300Mi",
        )
    )
    proxy = container(template)
    assert proxy["image"] == "mine:2"
    assert proxy["resources"]["requests"]["cpu"] == "200m"
    assert proxy["resources"]["limits"]["memory"] == "300Mi"


def test_a_pod_may_have_volumes_of_its_own_in_its_proxy():
    document = yaml.safe_load(REVIEWS)
    document["spec"]["template"]["metadata"]["annotations"] = {
        "sidecar.istio.io/userVolume": '{"spire": {"csi": {"driver": "csi.spiffe.io"}}}',
        "sidecar.istio.io/userVolumeMount": '{"spire": {"mountPath": "/run/spire", "readOnly": true}}',
    }
    spec = injected(yaml.safe_dump(document))["spec"]
    assert spec["volumes"][-1] == {"name": "spire", "csi": {"driver": "csi.spiffe.io"}}
    proxy = next(each for each in spec["containers"] if each["name"] == "istio-proxy")
    assert proxy["volumeMounts"][-1] == {"name": "spire", "mountPath": "/run/spire", "readOnly": True}


@pytest.mark.parametrize("text", ["{", "[]", '{"spire": "x"}'])
def test_volumes_that_cannot_be_read_are_told(text: str):
    document = yaml.safe_load(REVIEWS)
    document["spec"]["template"]["metadata"]["annotations"] = {"sidecar.istio.io/userVolume": text}
    with pytest.raises((InvalidAnnotation, InvalidManifest), match=r"sidecar\.istio\.io/userVolume: not"):
        injected(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"traffic_sidecar_istio_io__includeInboundPorts": "http"}, "includeInboundPorts: not a port"),
        ({"sidecar_istio_io__interceptionMode": "tproxy"}, "interceptionMode: 'tproxy' is no way of capture"),
    ],
)
def test_a_wrong_annotation_is_named_with_its_workload(annotations: dict[str, str], said: str):
    with pytest.raises(InvalidManifest, match=f"Deployment default/reviews-v3: .*{said}"):
        inject_manifest(annotated(**annotations), SETTINGS)


@pytest.mark.parametrize(
    "text", ["apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", "kind: [", "a: b: c"]
)
def test_what_cannot_be_read_is_refused(text: str):
    with pytest.raises(InvalidManifest):
        inject_manifest(text, SETTINGS)


def test_by_mark_the_proxy_may_set_marks_and_by_user_it_is_another_user():
    by_mark = container(injected(REVIEWS))["securityContext"]
    assert by_mark["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["ALL"]}
    template = injected(REVIEWS, replace(SETTINGS, by_user=True))
    by_user = container(template)["securityContext"]
    assert (by_user["runAsUser"], by_user["capabilities"]) == (1337, {"drop": ["ALL"]})
    assert "--user=1337" in container(template, "istio-init", "initContainers")["args"]


def test_an_application_can_be_held_until_the_proxy_is_ready():
    template = injected(REVIEWS, replace(SETTINGS, hold_application=True))
    assert [each["name"] for each in template["spec"]["containers"]] == ["istio-proxy", "reviews"]
    assert container(template)["lifecycle"]["postStart"]["exec"]["command"] == ["isthmus", "agent", "wait"]


def apply_patch(document: object, operations: list[dict]) -> object:
    import jsonpatch

    return jsonpatch.apply_patch(document, operations)


def test_the_json_patch_makes_one_into_the_other():
    before = yaml.safe_load(REVIEWS)["spec"]["template"]
    after = injected(REVIEWS)
    assert apply_patch(before, json_patch(before, after)) == after
    assert json_patch(after, after) == []
    odd = {"a/b": {"c~d": 1}, "gone": 2}
    assert apply_patch(odd, json_patch(odd, {"a/b": {"c~d": 3}, "new": None})) == {
        "a/b": {"c~d": 3},
        "new": None,
    }


def test_bookinfo_is_injected_workload_by_workload():
    text = (BOOKINFO / "bookinfo.yaml").read_text()
    injection = inject_manifest(text, SETTINGS)
    workloads = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "Deployment"]
    assert sum(outcome.changed for outcome in injection.outcomes) == len(workloads) > 3
    before, after = (list(yaml.safe_load_all(each)) for each in (text, injection.text))
    assert [each["kind"] for each in before] == [each["kind"] for each in after]


# What holds for single proxies

SAID = """
concurrency: 4
terminationDrainDuration: 20s
holdApplicationUntilProxyStarts: true
image: {imageType: debug}
meshId: other
discoveryAddress: pilot.example:15012
proxyMetadata: {ISTIO_META_X: y}
readinessProbe: {periodSeconds: 7}
tracing: {sampling: 50}
"""


def proxy_config(name: str, namespace: str, **spec: object) -> ProxyConfigObject:
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return decode(kind_named("ProxyConfig"), {"metadata": meta, "spec": spec})


def test_a_pod_says_how_its_proxy_is_run():
    template = injected(annotated(proxy_istio_io__config=SAID))
    found = container(template)
    assert "--concurrency=4" in found["args"]
    assert "--discovery-address=pilot.example:15012" in found["args"]
    assert found["image"].endswith("-debug")
    assert found["readinessProbe"]["periodSeconds"] == 7
    assert found["readinessProbe"]["failureThreshold"] == 30
    assert found["lifecycle"]
    values = environment(template)
    assert values["TERMINATION_DRAIN_DURATION_SECONDS"] == "20"
    assert values["ISTIO_META_MESH_ID"] == "other"
    assert values["ISTIO_META_X"] == "y"
    assert json.loads(values["PROXY_CONFIG"])["tracing"] == {"sampling": 50.0}


def test_the_nearest_word_on_a_proxy_counts_field_by_field():
    settings = replace(
        SETTINGS,
        proxy=read_proxy_config("{concurrency: 1, meshId: of-mesh, proxyMetadata: {A: mesh, B: mesh}}")[0],
        proxy_configs=(
            proxy_config("root", "istio-system", concurrency=2, environmentVariables={"A": "root"}),
            proxy_config("ns", "default", concurrency=3),
            proxy_config("own", "default", concurrency=5, selector={"matchLabels": {"app": "reviews"}}),
            proxy_config("others", "default", concurrency=6, selector={"matchLabels": {"app": "x"}}),
        ),
    )
    template = injected(REVIEWS, settings)
    assert "--concurrency=5" in container(template)["args"]
    values = environment(template)
    assert (values["A"], values.get("B"), values["ISTIO_META_MESH_ID"]) == ("root", None, "of-mesh")
    nearest = injected(annotated(proxy_istio_io__config="concurrency: 0"), settings)
    assert "--concurrency=0" in container(nearest)["args"]


def test_all_that_is_wrong_with_a_pods_configuration_is_told():
    text = "concurency: 2\ndrainDuration: 0s\ntracing: {sampling: 101}"
    with pytest.raises(InvalidManifest) as caught:
        injected(annotated(proxy_istio_io__config=text))
    said = str(caught.value)
    assert "did you mean concurrency?" in said
    assert "$.drainDuration" in said
    assert "$.tracing.sampling" in said


def test_metrics_of_the_application_are_merged_unless_mesh_or_pod_say_no():
    scraped = {"prometheus_io__scrape": "true"}
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" in environment(injected(annotated(**scraped)))
    own = annotated(**scraped, **{"prometheus_istio_io__merge-metrics": "false"})
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" not in environment(injected(own))
    off = replace(SETTINGS, merge_metrics=False)
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" not in environment(injected(annotated(**scraped), off))
