import json
import re

import msgspec
import pytest
from google.protobuf import json_format

from isthmus.api.istio.destination_rule import ClientTLSSettings, TcpKeepalive
from isthmus.api.istio.proxy_config import RemoteService, StatsMatcher
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.envoy.descriptors import pool
from isthmus.envoy.limits import RUNTIME
from isthmus.envoy.types import Bootstrap
from isthmus.model.endpoint import Locality
from isthmus.sidecar.bootstrap import BootstrapSettings, bootstrap_json
from isthmus.sidecar.stats_tags import stats_tags

SETTINGS = BootstrapSettings(
    node_id="sidecar~10.10.1.7~reviews-1.default~default.svc.cluster.local",
    metadata={"CLUSTER_ID": "gke", "LABELS": {"app": "reviews"}},
    locality=Locality("europe-west1", "b"),
)
METRICS = RemoteService(address="metrics.example.com:5000", tcp_keepalive=TcpKeepalive(probes=3, time="5s"))


def bootstrap(settings: BootstrapSettings) -> Bootstrap:
    """The bootstrap in Envoy's own class, which knows its fields."""
    return json_format.Parse(bootstrap_json(settings), Bootstrap(), descriptor_pool=pool())


def upstreams(settings: BootstrapSettings = SETTINGS) -> dict:
    found = json.loads(bootstrap_json(settings))["static_resources"]["clusters"]
    return {each["name"]: each for each in found}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mark": None},
        {"pilot_identity": ""},
        {"node_id": "router~10.0.0.1~a.b~b.svc.c.d"},
        {"statsd": "127.0.0.1:9125", "metrics_service": METRICS},
        {"metrics_service": msgspec.structs.replace(METRICS, tls_settings=ClientTLSSettings(mode="SIMPLE"))},
        {
            "metrics_service": msgspec.structs.replace(
                METRICS, tls_settings=ClientTLSSettings(mode="ISTIO_MUTUAL")
            )
        },
        {"stats": StatsMatcher(inclusion_prefixes=("a",), inclusion_regexps=("b.*",)), "stat_tags": ("c.d",)},
        {"metadata": {"ENABLE_SELF_DISCOVERY": "true"}},
        {"stats_eviction_s": 90.0},
        {"runtime": {"envoy.reloadable_features.anything": "false"}},
    ],
)
def test_envoy_takes_it(changes: dict):
    from msgspec.structs import replace

    validate(envoy_executable(), bootstrap_json(replace(SETTINGS, **changes)))


def test_it_depends_on_nothing_but_its_settings():
    assert bootstrap(SETTINGS) == bootstrap(SETTINGS)


def test_the_node_says_who_and_where_it_is():
    node = bootstrap(SETTINGS).node
    assert node.id == SETTINGS.node_id
    assert node.metadata["CLUSTER_ID"] == "gke"
    assert node.metadata["LABELS"]["app"] == "reviews"
    assert (node.locality.region, node.locality.zone) == ("europe-west1", "b")


def test_configuration_comes_over_one_delta_stream():
    ads = bootstrap(SETTINGS).dynamic_resources.ads_config
    assert ads.ApiType.Name(ads.api_type) == "DELTA_GRPC"
    assert ads.set_node_on_first_message_only
    assert ads.grpc_services[0].envoy_grpc.cluster_name == "xds-grpc"


def test_pilot_must_be_pilot_by_its_certificate():
    xds = upstreams()["xds-grpc"]
    context = xds["transport_socket"]["typed_config"]["common_tls_context"]
    (match,) = context["combined_validation_context"]["default_validation_context"][
        "match_typed_subject_alt_names"
    ]
    assert match == {"san_type": "URI", "matcher": {"exact": SETTINGS.pilot_identity}}
    assert context["tls_certificate_sds_secret_configs"][0]["name"] == "default"


def test_every_connection_of_envoy_is_marked_for_capture():
    (option,) = bootstrap(SETTINGS).cluster_manager.upstream_bind_config.socket_options
    assert (option.level, option.name, option.int_value) == (1, 36, 1337)


def test_the_admin_is_for_the_pod_alone_and_the_rest_for_probes():
    config = json.loads(bootstrap_json(SETTINGS))
    assert config["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    listeners = config["static_resources"]["listeners"]
    ports = {each["address"]["socket_address"]["port_value"] for each in listeners}
    assert ports == {15021, 15090}


def test_who_asks_nothing_of_the_ports_for_all_is_cut_and_the_way_to_pilot_is_for_the_agent_alone():
    config = json.loads(bootstrap_json(msgspec.structs.replace(SETTINGS, pilot_socket="/tmp/pilot.sock")))
    *open_, pilot = config["static_resources"]["listeners"]
    assert len(open_) == 2
    for each in open_:
        (manager,) = (one["typed_config"] for one in each["filter_chains"][0]["filters"])
        assert manager["request_headers_timeout"] == "5s"
        assert (
            manager["stream_idle_timeout"] == manager["common_http_protocol_options"]["idle_timeout"] == "60s"
        )
    assert pilot["address"]["pipe"] == {"path": "/tmp/pilot.sock", "mode": 0o600}


def test_idle_proxies_rarely_wake_up():
    config = bootstrap(SETTINGS)
    assert config.stats_flush_interval.seconds == 60
    assert config.watchdogs.main_thread_watchdog.miss_timeout.seconds == 60
    assert config.watchdogs.worker_watchdog.miss_timeout.seconds == 60


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        (
            "cluster.outbound|9080|v1|reviews.default.svc.cluster.local.upstream_rq_200",
            "outbound|9080|v1|reviews.default.svc.cluster.local",
        ),
        ("cluster.xds-grpc.upstream_cx_total", "xds-grpc"),
        ("cluster.inbound|9080||;.upstream_rq", "inbound|9080||;"),
    ],
)
def test_a_name_with_dots_is_one_label(name: str, upstream: str):
    expression = next(
        tag["regex"] for tag in stats_tags("cluster.local") if tag["tag_name"] == "cluster_name"
    )
    assert re.search(expression, name)[2] == upstream


REVIEWS = "cluster.outbound|9080|v1|reviews.default.svc.cluster.local"
KEPT = [
    "server.uptime",
    "cluster.xds-grpc.upstream_cx_http2_total",
    "listener.0.0.0.0_15006.ssl.fail_verify_error",
    "http.outbound_0.0.0.0_9080;.downstream_rq_completed",
    *(f"{REVIEWS}.{name}" for name in ("upstream_rq_200", "upstream_rq_5xx", "upstream_cx_connect_fail")),
    "cluster.reviews of the user's own name.upstream_rq_time",
    "vhost.reviews_9080.route.mine.upstream_rq_total",
    "wasmcustom.keys",
]
LEFT_OUT = [f"{REVIEWS}.{name}" for name in ("upstream_cx_http1_total", "ssl.handshake", "lb_zone_cluster")]


def is_kept(name: str, asked: StatsMatcher) -> bool:
    (config,) = [bootstrap(msgspec.structs.replace(SETTINGS, stats=asked)).stats_config.stats_matcher]
    return any(
        name.startswith(each.prefix)
        if each.HasField("prefix")
        else name.endswith(each.suffix)
        if each.HasField("suffix")
        else re.fullmatch(each.safe_regex.regex, name) is not None
        for each in config.inclusion_list.patterns
    )


def test_statistics_are_kept_by_which_a_mesh_is_run_and_watched():
    assert [name for name in (*KEPT, *LEFT_OUT) if is_kept(name, StatsMatcher())] == KEPT


@pytest.mark.parametrize(
    "asked",
    [
        StatsMatcher(inclusion_prefixes=("cluster.outbound",)),
        StatsMatcher(inclusion_suffixes=("_total", "ssl.handshake", "_cluster")),
        StatsMatcher(inclusion_regexps=(".*",)),
    ],
)
def test_proxies_keep_those_beside_the_usual_that_they_name(asked: StatsMatcher):
    assert all(is_kept(name, asked) for name in (*KEPT, *LEFT_OUT))


def test_statistics_are_sent_to_whom_the_settings_name():
    made = bootstrap(msgspec.structs.replace(SETTINGS, statsd="127.0.0.1:9125", metrics_service=METRICS))
    assert [each.name for each in made.stats_sinks] == [
        "envoy.stat_sinks.statsd",
        "envoy.stat_sinks.metrics_service",
    ]
    assert "envoy_metrics_service" in {each.name for each in made.static_resources.clusters}
    assert not bootstrap(SETTINGS).stats_sinks


def test_a_proxy_that_is_to_know_itself_asks_who_shares_its_calls():
    made = bootstrap(msgspec.structs.replace(SETTINGS, metadata={"ENABLE_SELF_DISCOVERY": "true"}))
    assert made.cluster_manager.local_cluster_name == "local_cluster"
    assert "local_cluster" in {each.name for each in made.static_resources.clusters}
    assert not bootstrap(SETTINGS).cluster_manager.local_cluster_name


def test_values_of_the_runtime_stand_beside_our_own():
    (limits, _) = bootstrap(msgspec.structs.replace(SETTINGS, runtime={"a.b": "7"})).layered_runtime.layers
    assert limits.static_layer["a.b"] == "7"
    assert set(RUNTIME) < set(limits.static_layer)
