import json
from pathlib import Path

import msgspec
import pytest
import yaml

from isthmus.envoy.binary import envoy_executable, validate
from isthmus.kit.key_kind import KeyKind
from isthmus.model.endpoint import Locality
from isthmus.model.identity import SpiffeId
from isthmus.model.proxy import ProxyKind
from isthmus.model.proxy_config import read_proxy_config
from isthmus.sidecar.agent import bootstrap_settings
from isthmus.sidecar.bootstrap import bootstrap_json
from isthmus.sidecar.environment import AgentFlags, InvalidEnvironment, agent_settings
from isthmus.sidecar.inject.manifest import inject_manifest
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectSettings, InvalidSettings, read_settings
from isthmus.sidecar.inject.template import router_spec

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: reviews
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9080"}
spec: {containers: [{name: app}]}
"""
DOWNWARD = {
    "POD_NAME": "reviews-1",
    "POD_NAMESPACE": "shop",
    "INSTANCE_IP": "10.10.1.7",
    "SERVICE_ACCOUNT": "bookinfo-reviews",
    "HOST_IP": "10.0.0.1",
}
SETTINGS = InjectSettings(cluster="gke", network="gke-net", trust_domain="mesh", namespace="cp")


def environment(container: dict) -> dict[str, str]:
    """What the kubelet would make of a container's variables."""
    return {each["name"]: each.get("value", DOWNWARD.get(each["name"], "")) for each in container["env"]}


def test_what_the_injector_writes_the_agent_reads():
    pod = yaml.safe_load(inject_manifest(POD, SETTINGS).text)
    found = agent_settings(environment(pod["spec"]["containers"][1]), AgentFlags())
    assert (found.pod, found.namespace, found.address) == ("reviews-1", "shop", "10.10.1.7")
    assert (found.cluster, found.network, found.mark) == ("gke", "gke-net", 1337)
    assert found.identity == found.certificates.identity == SpiffeId("mesh", "shop", "bookinfo-reviews")
    assert found.certificates.citadel == "istio-citadel.cp.svc.cluster.local:8060"
    assert found.pilot == "istio-pilot.cp.svc.cluster.local:15012"
    assert found.pilot_identity == "spiffe://mesh/ns/cp/sa/istio-pilot-service-account"
    assert found.metadata["WORKLOAD_NAME"] == "reviews"
    assert (found.status.application_port, found.status.application_path) == (9080, "/metrics")


def test_a_cluster_of_its_own_trust_domain_looks_for_pilot_in_pilots():
    own = msgspec.structs.replace(SETTINGS, pilot_trust_domain="pilots.example")
    pod = yaml.safe_load(inject_manifest(POD, own).text)
    found = agent_settings(environment(pod["spec"]["containers"][1]), AgentFlags())
    assert found.pilot_identity == "spiffe://pilots.example/ns/cp/sa/istio-pilot-service-account"
    assert found.identity.trust_domain == "mesh"


def test_a_gateway_has_no_capture_hence_no_mark_and_no_privilege():
    spec = router_spec(Pod({}, {}, "cp", "istio-ingressgateway", "Deployment"), SETTINGS)
    (container,) = spec["containers"]
    assert container["args"][:2] == ["agent", "router"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    found = agent_settings(environment(container), AgentFlags(kind=ProxyKind.ROUTER))
    assert (found.mark, found.proxy.inbound_only) == (None, False)
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in spec["volumes"]}


def test_variables_say_lifetimes_places_and_metadata():
    said = {
        **DOWNWARD,
        "ISTIO_META_CLUSTER_ID": "gke",
        "ISTIO_METAJSON_LABELS": '{"a": "b"}',
        "SECRET_TTL": "1h30m",
        "ISTHMUS_LOCALITY": "europe/west",
        "TERMINATION_DRAIN_DURATION_SECONDS": "1",
        "DRAIN_DURATION": "2m",
    }
    found = agent_settings(said, AgentFlags(discovery_address="pilot:1", directory=Path("/tmp/x")))
    assert found.certificates.lifetime_s == 5400
    assert found.locality == Locality("europe", "west")
    assert found.metadata["LABELS"] == {"a": "b"}
    assert (found.pilot, found.proxy.drain_s, found.directory) == ("pilot:1", 1, Path("/tmp/x"))
    assert found.proxy.change_drain_s == 120


@pytest.mark.parametrize("missing", ["POD_NAME", "POD_NAMESPACE", "INSTANCE_IP", "ISTIO_META_CLUSTER_ID"])
def test_what_is_missing_is_named(missing: str):
    said = {**DOWNWARD, "ISTIO_META_CLUSTER_ID": "gke"}
    with pytest.raises(InvalidEnvironment, match=f"{missing} is not set"):
        agent_settings({**said, missing: ""}, AgentFlags())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_TTL", "soon"),
        ("ISTHMUS_MARK", "x"),
        ("ISTIO_METAJSON_LABELS", "{"),
        ("TERMINATION_DRAIN_DURATION_SECONDS", "long"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, value: str):
    said = {**DOWNWARD, "ISTIO_META_CLUSTER_ID": "gke", name: value}
    with pytest.raises(InvalidEnvironment, match=name):
        agent_settings(said, AgentFlags())


def test_settings_of_injection_come_from_a_config_map():
    text = 'cluster: onprem\nnetwork: ""\nimage: a:1\ntrustDomain: mesh\ncapture: {mark: 7}\n'
    settings = read_settings(text)
    assert (settings.cluster, settings.trust_domain, settings.capture.mark) == ("onprem", "mesh", 7)
    for wrong in ("image: a", "cluster: [", "cluster: {}"):
        with pytest.raises(InvalidSettings, match="istio-sidecar-injector, values"):
            read_settings(wrong)


ANNOTATION = """
serviceCluster: own
statsdUdpAddress: 10.0.0.9:9125
proxyAdminPort: 15100
statusPort: 15120
extraStatTags: [shop]
proxyStatsMatcher: {inclusionPrefixes: [cluster.outbound]}
runtimeValues: {envoy.own: "1"}
envoyMetricsService: {address: "metrics.example.com:9000", tlsSettings: {mode: SIMPLE}}
drainDuration: 11s
terminationDrainDuration: 12s
fileFlushInterval: 3s
fileFlushMinSizeKb: 4
"""


def test_what_a_pod_says_of_its_proxy_arrives_in_envoys_bootstrap():
    told = yaml.safe_load(POD)
    told["metadata"]["annotations"]["proxy.istio.io/config"] = ANNOTATION
    settings = msgspec.structs.replace(
        SETTINGS, proxy=read_proxy_config("{serviceCluster: mesh, meshId: one}")[0]
    )
    pod = yaml.safe_load(inject_manifest(yaml.safe_dump(told), settings).text)
    read = agent_settings(environment(pod["spec"]["containers"][1]), AgentFlags())
    run = (
        read.proxy.change_drain_s,
        read.proxy.drain_s,
        read.proxy.flush_interval_s,
        read.proxy.flush_size_kb,
    )
    assert run == (11, 12, 3, 4)
    text = bootstrap_json(bootstrap_settings(read, Path("/run/sds")))
    found = json.loads(text)
    upstreams = {each["name"]: each for each in found["static_resources"]["clusters"]}
    assert found["node"]["cluster"] == "own"
    assert found["node"]["metadata"]["MESH_ID"] == "one"
    assert found["admin"]["address"]["socket_address"]["port_value"] == 15100
    assert found["layered_runtime"]["layers"][0]["static_layer"]["envoy.own"] == "1"
    assert "shop" in {each["tag_name"] for each in found["stats_config"]["stats_tags"]}
    kept = found["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"prefix": "cluster.outbound"} in kept
    assert {"prefix": "server."} in kept
    assert {"suffix": "downstream_cx_active"} in kept
    assert [each["name"] for each in found["stats_sinks"]] == [
        "envoy.stat_sinks.statsd",
        "envoy.stat_sinks.metrics_service",
    ]
    assert (
        upstreams["envoy_metrics_service"]["transport_socket"]["typed_config"]["sni"] == "metrics.example.com"
    )
    agent = upstreams["agent"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert agent["socket_address"]["port_value"] == 15120
    validate(envoy_executable(), text)


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, KeyKind.EC_P256),
        ({"ECC_SIGNATURE_ALGORITHM": "ECDSA"}, KeyKind.EC_P256),
        ({"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P384"}, KeyKind.EC_P384),
        ({"WORKLOAD_RSA_KEY_SIZE": "4096"}, KeyKind.RSA_4096),
        ({"WORKLOAD_RSA_KEY_SIZE": "2048", "ECC_SIGNATURE_ALGORITHM": "ECDSA"}, KeyKind.EC_P256),
    ],
)
def test_keys_are_of_the_kind_that_istios_variables_say(variables, kind):
    pod = yaml.safe_load(POD)
    config = json.dumps({"proxyMetadata": variables})
    pod["metadata"]["annotations"]["proxy.istio.io/config"] = config
    injected = yaml.safe_load(inject_manifest(yaml.safe_dump(pod), SETTINGS).text)
    found = agent_settings(environment(injected["spec"]["containers"][1]), AgentFlags())
    assert found.certificates.key_kind is kind


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ECC_SIGNATURE_ALGORITHM": "ED25519"}, "'ED25519' is not known"),
        ({"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P512"}, "ECC_CURVE: no keys of 'P512'"),
        ({"WORKLOAD_RSA_KEY_SIZE": "1024"}, r"1024' are made \(hint: 2048 or 4096\)"),
    ],
)
def test_keys_that_nobody_makes_are_refused_by_name(variables, said):
    pod = yaml.safe_load(inject_manifest(POD, SETTINGS).text)
    with pytest.raises(InvalidEnvironment, match=said):
        agent_settings(environment(pod["spec"]["containers"][1]) | variables, AgentFlags())
