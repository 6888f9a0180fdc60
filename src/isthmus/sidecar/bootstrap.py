"""Envoy's bootstrap for a sidecar or a gateway, as a pure function of its settings.

Everything else comes from Pilot over delta ADS. Source: envoy.config.bootstrap.v3.
"""

from __future__ import annotations

import msgspec

from isthmus.api.istio.proxy_config import RemoteService, StatsMatcher
from isthmus.envoy.limits import RUNTIME
from isthmus.model.endpoint import Locality
from isthmus.model.families import BOTH, Families
from isthmus.sidecar.bootstrap_tls import mutual_tls
from isthmus.sidecar.stats_matcher import histogram_buckets, stats_matcher
from isthmus.sidecar.stats_sinks import sink_upstreams, stats_sinks
from isthmus.sidecar.stats_tags import stats_tags
from isthmus.translate.names import LOCAL, SDS_UPSTREAM

Tree = dict[str, object]

XDS, AGENT, STATS = "xds-grpc", "agent", "prometheus_stats"

_ANY = {4: "0.0.0.0", 6: "::"}
_LOOKUPS = {(4,): "V4_ONLY", (6,): "V6_ONLY", BOTH: "V4_PREFERRED"}

_TYPE_PREFIX = "type.googleapis.com/"
_MARK_OPTION = {"description": "SO_MARK", "level": 1, "name": 36, "state": "STATE_PREBIND"}


class BootstrapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a bootstrap depends on."""

    node_id: str  # Istio's form: kind~address~name.namespace~namespace.svc.domain
    node_cluster: str = "istio-proxy"
    metadata: dict[str, object] = {}
    locality: Locality = Locality()
    domain: str = "cluster.local"
    pilot_host: str = "istio-pilot.istio-system.svc.cluster.local"
    pilot_port: int = 15012
    # Who Pilot must be by its certificate; empty: plaintext without proof, for tests on loopback.
    pilot_identity: str = "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account"
    sds_socket: str = "/var/run/isthmus/sds.sock"
    pilot_socket: str = ""  # where the agent itself finds Pilot, by Envoy; empty: there is no agent
    dns_port: int = 0  # of loopback, where names are resolved for Envoy; 0: as resolv.conf says
    admin_port: int = 15000
    agent_port: int = 15020
    ready_port: int = 15021
    stats_port: int = 15090
    mark: int | None = 1337  # of packets that capture must let pass; needs CAP_NET_ADMIN
    families: Families = (4,)  # versions of IP that the pod has addresses of
    most_connections: int = 50_000  # downstream, over all listeners
    stats_flush_s: int = 60
    runtime: dict[str, str] = {}  # values of Envoy's runtime, by key
    statsd: str = ""  # host:port of a listener for statistics over UDP
    metrics_service: RemoteService | None = None  # Envoy's metrics service
    stats: StatsMatcher = StatsMatcher()  # which are kept beside the usual ones
    stat_tags: tuple[str, ...] = ()  # further labels in names of statistics
    stats_buckets: tuple[tuple[str, tuple[float, ...]], ...] = ()  # of histograms, by how their names begin
    stats_eviction_s: float = 0.0  # how often those go that nothing counts any more; 0: never

    @property
    def knows_itself(self) -> bool:
        """Whether Envoy is told of those with which it shares its calls, for zone aware routing."""
        return str(self.metadata.get("ENABLE_SELF_DISCOVERY", "")).lower() == "true"


def bootstrap_json(settings: BootstrapSettings) -> str:
    """The bootstrap as Envoy reads it from a file that ends in `.json`: Envoy refuses fields it does not know."""
    return msgspec.json.encode(_tree(settings)).decode()


def _tree(settings: BootstrapSettings) -> Tree:
    tree: Tree = {
        "node": _node(settings),
        "admin": {"address": _address("127.0.0.1", settings.admin_port)},
        "dynamic_resources": _dynamic_resources(),
        "static_resources": {
            "clusters": [
                _sds(settings),
                _xds(settings),
                _loopback(STATS, settings.admin_port),
                _loopback(AGENT, settings.agent_port),
                *sink_upstreams(settings.metrics_service),
                *([_local()] if settings.knows_itself else []),
            ],
            "listeners": [
                {
                    **_listener("stats", "/stats/prometheus", STATS),
                    **_everywhere(settings, settings.stats_port),
                },
                {**_listener("ready", "/healthz/ready", AGENT), **_everywhere(settings, settings.ready_port)},
                *([_way_to_pilot(settings.pilot_socket)] if settings.pilot_socket else []),
            ],
        },
        "stats_config": {
            "use_all_default_tags": False,
            "stats_tags": stats_tags(settings.domain, settings.stat_tags),
            **stats_matcher(settings.stats),
            **histogram_buckets(settings.stats_buckets),
        },
        # Waking up rarely is what an idle sidecar costs: the defaults are 32 times a second.
        "stats_flush_interval": f"{settings.stats_flush_s}s",
        "watchdogs": {"main_thread_watchdog": _watchdog(), "worker_watchdog": _watchdog()},
        "overload_manager": _overload(settings.most_connections),
        "layered_runtime": {
            "layers": [
                {"name": "limits", "static_layer": {**RUNTIME, **settings.runtime}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
    }
    if settings.stats_eviction_s:
        flush = settings.stats_flush_s  # Envoy wants a multiple of that
        tree["stats_eviction_interval"] = f"{max(1, round(settings.stats_eviction_s / flush)) * flush}s"
    if settings.dns_port:
        tree["typed_dns_resolver_config"] = _resolver(settings.dns_port)
    sinks = list(stats_sinks(settings.statsd, settings.metrics_service))
    if sinks:
        tree["stats_sinks"] = sinks
    manager: Tree = {}
    if settings.mark is not None:
        options = [{**_MARK_OPTION, "int_value": settings.mark}]
        manager["upstream_bind_config"] = {"socket_options": options}
    if settings.knows_itself:
        manager["local_cluster_name"] = LOCAL
    if manager:
        tree["cluster_manager"] = manager
    return tree


def _node(settings: BootstrapSettings) -> Tree:
    place = settings.locality
    return {
        "id": settings.node_id,
        "cluster": settings.node_cluster,
        "metadata": settings.metadata,
        "locality": {"region": place.region, "zone": place.zone, "sub_zone": place.subzone},
    }


def _dynamic_resources() -> Tree:
    # Without a limit for the first answer Envoy stays "initializing", hence not ready, until it has one.
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "lds_config": ads,
        "cds_config": ads,
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS}}],
        },
    }


def _sds(settings: BootstrapSettings) -> Tree:
    return {
        "name": SDS_UPSTREAM,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": _http2({}),
        "load_assignment": _endpoint(SDS_UPSTREAM, {"pipe": {"path": settings.sds_socket}}),
    }


def _xds(settings: BootstrapSettings) -> Tree:
    upstream: Tree = {
        "name": XDS,
        "type": "STRICT_DNS",
        # Of both a Pilot of IPv4 is as good: it is one Pilot, not two.
        "dns_lookup_family": _LOOKUPS[settings.families],
        "dns_refresh_rate": "5s",
        "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
        "respect_dns_ttl": True,
        "connect_timeout": "2s",
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": priority,
                    "max_connections": 100_000,
                    "max_pending_requests": 100_000,
                    "max_requests": 100_000,
                }
                for priority in ("DEFAULT", "HIGH")
            ]
        },
        # A Pilot that went away without a word is noticed within half a minute.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 10, "keepalive_interval": 5}
        },
        "typed_extension_protocol_options": _http2(
            {"connection_keepalive": {"interval": "20s", "timeout": "10s"}}
        ),
        "load_assignment": _endpoint(XDS, _address(settings.pilot_host, settings.pilot_port)),
    }
    if settings.pilot_identity:
        # Pilot shows one certificate, which says its identity and no DNS name. The server name is for a
        # gateway between networks that Pilot may be behind.
        match: Tree = {"san_type": "URI", "matcher": {"exact": settings.pilot_identity}}
        upstream["transport_socket"] = mutual_tls(settings.pilot_host, [match])
    return upstream


def _local() -> Tree:
    # With the usual limit for the first answer: a Pilot of another make may know nothing of it.
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "name": LOCAL,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": source, "service_name": LOCAL},
    }


def _loopback(name: str, port: int) -> Tree:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": _endpoint(name, _address("127.0.0.1", port)),
    }


def _listener(name: str, path: str, upstream: str) -> Tree:
    """A listener for everyone that answers one path from a place on loopback, and nothing else."""
    route = {"match": {"path": path}, "route": {"cluster": upstream}}
    manager = {
        "@type": f"{_TYPE_PREFIX}envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": name,
        # Everybody may connect: who asks nothing, or by and by, must not stay.
        "request_headers_timeout": "5s",
        "request_timeout": "10s",
        "stream_idle_timeout": "60s",
        "common_http_protocol_options": {"idle_timeout": "60s", "max_headers_count": 50},
        "http2_protocol_options": {"max_concurrent_streams": 16},
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE_PREFIX}envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "bypass_overload_manager": True,
        "per_connection_buffer_limit_bytes": 32_768,
        "filter_chains": [{"filters": filters}],
    }


def _everywhere(settings: BootstrapSettings, port: int) -> Tree:
    """Where a listener is that the whole pod's addresses lead to."""
    first, *more = (_address(_ANY[each], port) for each in settings.families)
    return {
        "address": first,
        **({"additional_addresses": [{"address": each} for each in more]} if more else {}),
    }


def _way_to_pilot(path: str) -> Tree:
    """For the agent: Envoy knows how Pilot is found, believed, and reached past the pod's capture."""
    kind = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    proxy = {"@type": _TYPE_PREFIX + kind, "stat_prefix": "pilot", "cluster": XDS, "idle_timeout": "0s"}
    return {
        "name": "pilot",
        # Whoever may connect is, to Pilot, this workload.
        "address": {"pipe": {"path": path, "mode": 0o600}},
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    }


def _resolver(port: int) -> Tree:
    """The agent in place of the servers in resolv.conf: its own questions bear the mark, Envoy's could not."""
    kind = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    config = {"@type": _TYPE_PREFIX + kind, "resolvers": [_address("127.0.0.1", port)]}
    return {"name": "envoy.network.dns_resolver.cares", "typed_config": config}


def _http2(options: Tree) -> Tree:
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    explicit = {"explicit_http_config": {"http2_protocol_options": options}}
    return {name: {"@type": _TYPE_PREFIX + name, **explicit}}


def _endpoint(upstream: str, address: Tree) -> Tree:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"cluster_name": upstream, "endpoints": endpoints}


def _address(host: str, port: int) -> Tree:
    return {"socket_address": {"address": host, "port_value": port}}


def _watchdog() -> Tree:
    return {"miss_timeout": "60s", "megamiss_timeout": "120s"}


def _overload(most_connections: int) -> Tree:
    kind = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = {"@type": _TYPE_PREFIX + kind, "max_active_downstream_connections": most_connections}
    monitor = {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": limit}
    return {"refresh_interval": "60s", "resource_monitors": [monitor]}
