from __future__ import annotations

from isthmus.console.envoy_view import endpoints, listeners, routes, upstreams
from isthmus.console.proxies import render_status
from isthmus.console.render import render_rows

PREFIX = "type.googleapis.com/envoy.admin.v3."
UPSTREAM = "outbound|9080|v1|reviews.default.svc.cluster.local"


def dump(kind, **parts):
    return {"configs": [{"@type": PREFIX + "BootstrapConfigDump"}, {"@type": PREFIX + kind, **parts}]}


def istio(**values):
    return {"filter_metadata": {"istio": values}}


def socket(address, port):
    return {"socket_address": {"address": address, "port_value": port}}


def test_upstreams_are_told_by_service_port_and_subset():
    rule = "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
    found = upstreams(
        dump(
            "ClustersConfigDump",
            static_clusters=[{"cluster": {"name": "xds-grpc", "type": "STRICT_DNS"}}],
            dynamic_active_clusters=[
                {"cluster": {"name": UPSTREAM, "type": "EDS", "metadata": istio(config=rule)}},
                {"cluster": {"name": "inbound|8080||", "cluster_type": {"name": "envoy.cluster.x"}}},
                {"cluster": {"name": "BlackHoleCluster"}},
            ],
        )
    )
    assert [
        (row.service, row.port, row.subset, row.direction, row.type, row.destination_rule) for row in found
    ] == [
        ("-", "8080", "-", "inbound", "envoy.cluster.x", ""),
        ("BlackHoleCluster", "-", "-", "-", "STATIC", ""),
        ("reviews.default.svc.cluster.local", "9080", "v1", "outbound", "EDS", "default/reviews"),
        ("xds-grpc", "-", "-", "-", "STRICT_DNS", ""),
    ]


def lb_endpoint(address, workload="", **more):
    return {"endpoint": {"address": socket(address, 9080)}, "metadata": istio(workload=workload)} | more


def test_endpoints_are_told_with_cluster_locality_priority_and_ejection():
    groups = [
        {
            "locality": {"region": "eu", "zone": "a"},
            "lb_endpoints": [
                lb_endpoint("10.0.0.2", "reviews;default;reviews;v1;gke", health_status="UNKNOWN")
            ],
        },
        {
            "priority": 1,
            "lb_endpoints": [lb_endpoint("10.0.0.1", health_status="DRAINING"), lb_endpoint("10.0.0.3")],
        },
    ]
    configs = dump(
        "EndpointsConfigDump",
        dynamic_endpoint_configs=[{"endpoint_config": {"cluster_name": UPSTREAM, "endpoints": groups}}],
    )
    ejected = {"address": socket("10.0.0.1", 9080), "health_status": {"failed_outlier_check": True}}
    healthy = {"address": socket("10.0.0.2", 9080), "health_status": {"eds_health_status": "HEALTHY"}}
    statuses = {"cluster_statuses": [{"name": UPSTREAM, "host_statuses": [ejected, healthy]}]}
    found = endpoints(configs, statuses)
    assert [
        (row.endpoint, row.status, row.outlier_check, row.cluster, row.locality, row.priority)
        for row in found
    ] == [
        ("10.0.0.2:9080", "HEALTHY", "OK", "gke", "eu/a", 0),
        ("10.0.0.1:9080", "DRAINING", "FAILED", "", "", 1),
        ("10.0.0.3:9080", "HEALTHY", "OK", "", "", 1),
    ]
    assert found[0].workload == "reviews"
    assert found[0].upstream == UPSTREAM


def test_an_endpoint_on_a_unix_socket_is_its_path():
    pipe = {"endpoint": {"address": {"pipe": {"path": "./sds"}}}}
    group = {"lb_endpoints": [pipe]}
    configs = dump(
        "EndpointsConfigDump",
        static_endpoint_configs=[{"endpoint_config": {"cluster_name": "sds", "endpoints": [group]}}],
    )
    assert endpoints(configs, {})[0].endpoint == "./sds"


TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def chain(config, **match):
    return {"filters": [{"name": "metadata"}, {"typed_config": config}], "filter_chain_match": match}


def test_listeners_are_told_chain_by_chain():
    weighted = {"@type": TCP, "weighted_clusters": {"clusters": [{"name": "a"}, {"name": "b"}]}}
    outbound = {
        "name": "0.0.0.0_9080",
        "address": socket("0.0.0.0", 9080),
        "filter_chains": [
            chain({"rds": {"route_config_name": "9080"}}, application_protocols=["http/1.1", "h2c"])
        ],
        "default_filter_chain": chain({"@type": TCP, "cluster": "PassthroughCluster"}),
    }
    inbound = {
        "name": "virtualInbound",
        "address": socket("0.0.0.0", 15006),
        "filter_chains": [
            chain({"route_config": {"name": "inbound"}}, destination_port=8080, transport_protocol="tls"),
            chain(
                weighted, prefix_ranges=[{"address_prefix": "10.0.0.0", "prefix_len": 8}], server_names=["x"]
            ),
            {"filters": []},
        ],
    }
    found = listeners(
        dump(
            "ListenersConfigDump",
            static_listeners=[{"listener": inbound}],
            dynamic_listeners=[
                {"active_state": {"listener": outbound}},
                {"warming_state": {"listener": inbound}},
            ],
        )
    )
    assert [(row.port, row.match, row.destination) for row in found] == [
        ("9080", "ALL", "Cluster: PassthroughCluster"),
        ("9080", "ALPN http/1.1,h2c", "Route: 9080"),
        ("15006", "ALL", "-"),
        ("15006", "SNI x; to 10.0.0.0/8", "Cluster: a, b"),
        ("15006", "port 8080; tls", "Inline Route: inbound"),
    ]


def test_routes_are_told_in_the_order_in_which_they_are_tried():
    weights = {"weighted_clusters": {"clusters": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]}}
    config = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"
    host = {
        "name": "reviews:9080",
        "domains": ["reviews", "reviews:9080"],
        "routes": [
            {
                "match": {
                    "path": "/x",
                    "headers": [{"name": "end-user"}],
                    "query_parameters": [{"name": "q"}],
                },
                "route": {"cluster": "a"},
                "metadata": istio(config=config),
            },
            {"match": {"safe_regex": {"regex": "/a.*"}}, "redirect": {}},
            {"match": {"path_separated_prefix": "/api"}, "direct_response": {"status": 503}},
            {"match": {"prefix": "/"}, "route": weights},
            {},
        ],
    }
    found = routes(
        dump(
            "RoutesConfigDump",
            dynamic_route_configs=[{"route_config": {"name": "9080", "virtual_hosts": [host]}}],
        )
    )
    assert [(row.match, row.destination) for row in found] == [
        ("/x & header end-user & query q", "a"),
        ("~/a.*", "redirect"),
        ("/api/*", "503"),
        ("/*", "a 90, b 10"),
        ("*", "-"),
    ]
    assert found[0].virtual_service == "default/reviews"
    assert found[0].domains == "reviews + 1 more"


def test_an_empty_dump_is_an_empty_table():
    for view in (upstreams, listeners, routes):
        assert view({}) == []
        assert view({"configs": []}) == []
    assert endpoints({}, {}) == []
    assert render_rows([]) == "nothing found"


def test_rows_are_a_table_with_a_column_for_each_field():
    clusters = [{"cluster": {"name": UPSTREAM}}]
    head, row = render_rows(upstreams(dump("ClustersConfigDump", static_clusters=clusters))).splitlines()
    assert head.split() == ["SERVICE", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION", "RULE"]
    assert row.split() == ["reviews.default.svc.cluster.local", "9080", "v1", "outbound", "STATIC", "-"]


def test_status_says_what_proxies_hold_and_why_they_rejected():
    types = {"CDS": {"state": "SYNCED"}, "EDS": {"state": "STALE", "error": "no such thing"}}
    answer = [
        {"name": "b.shop", "cluster": "gke", "version": "", "types": types},
        {"name": "a.shop", "cluster": "gke", "version": "1.40.0", "types": {}},
    ]
    lines = render_status(answer).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["NAME", "a.shop", "b.shop"]
    assert lines[1].count("NOT SENT") == 5
    assert lines[3] == "b.shop: EDS rejected: no such thing"
