"""Which of Envoy's messages the house uses, and the short name of each.

The one list to extend: `tools/envoy_api.py` makes type stubs of it, `envoy.types` serves the classes.
"""

from __future__ import annotations

_BY_PACKAGE: dict[str, str] = {
    "cel.expr": "Expr ParsedExpr",
    "google.protobuf": "Any BoolValue DoubleValue Duration Empty StringValue Struct Timestamp UInt32Value "
    "UInt64Value Value",
    "google.rpc": "Status",
    "envoy.admin.v3": "CertificateDetails Certificates ClustersConfigDump ConfigDump EcdsConfigDump "
    "EndpointsConfigDump ListenersConfigDump RoutesConfigDump SecretsConfigDump ServerInfo",
    "envoy.config.accesslog.v3": "AccessLog AccessLogFilter ExtensionFilter ResponseFlagFilter",
    "envoy.config.bootstrap.v3": "Admin Bootstrap",
    "envoy.config.cluster.v3": "CircuitBreakers Cluster OutlierDetection UpstreamConnectionOptions",
    "envoy.config.common.matcher.v3": "HttpHeadersMatch MatchPredicate",
    "envoy.config.core.v3": "Address AggregatedConfigSource ApiConfigSource BindConfig CidrRange "
    "ConfigSource DataSource GrpcService HeaderValue HeaderValueOption Http1ProtocolOptions "
    "Http2ProtocolOptions HttpProtocolOptions HttpService Locality Metadata Node Pipe ProxyProtocolConfig "
    "QueryParameter "
    "RuntimeFractionalPercent RuntimeDouble SocketAddress SocketOption SubstitutionFormatString "
    "TcpKeepalive TransportSocket TypedExtensionConfig",
    "envoy.config.endpoint.v3": "ClusterLoadAssignment Endpoint LbEndpoint LocalityLbEndpoints",
    "envoy.config.listener.v3": "Filter FilterChain FilterChainMatch Listener ListenerFilter "
    "ListenerFilterChainMatchPredicate UdpListenerConfig",
    "envoy.config.rbac.v3": "Permission Policy Principal SourcedMetadata",
    "envoy.config.trace.v3": "DatadogConfig OpenTelemetryConfig SkyWalkingConfig Tracing ZipkinConfig",
    "envoy.config.route.v3": "CorsPolicy Decorator DirectResponseAction HeaderMatcher "
    "QueryParameterMatcher RedirectAction RetryPolicy Route RouteAction RouteConfiguration RouteMatch "
    "VirtualCluster VirtualHost WeightedCluster",
    "envoy.extensions.access_loggers.file.v3": "FileAccessLog",
    "envoy.extensions.access_loggers.filters.cel.v3": "ExpressionFilter",
    "envoy.extensions.access_loggers.grpc.v3": "CommonGrpcAccessLogConfig HttpGrpcAccessLogConfig "
    "TcpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.open_telemetry.v3": "OpenTelemetryAccessLogConfig",
    "envoy.extensions.clusters.dynamic_forward_proxy.v3": "ClusterConfig",
    "envoy.extensions.common.dynamic_forward_proxy.v3": "DnsCacheConfig",
    "envoy.extensions.filters.common.fault.v3": "FaultDelay",
    "envoy.extensions.filters.common.set_filter_state.v3": "FilterStateValue",
    "envoy.extensions.filters.http.cors.v3": "Cors",
    "envoy.extensions.filters.http.fault.v3": "FaultAbort HTTPFault",
    "envoy.extensions.filters.http.grpc_stats.v3": "FilterConfig",
    "envoy.extensions.filters.http.health_check.v3": "HealthCheck",
    "envoy.extensions.filters.http.jwt_authn.v3": "JwtAuthentication JwtProvider JwtRequirement",
    "envoy.extensions.filters.http.router.v3": "Router",
    "envoy.extensions.filters.listener.http_inspector.v3": "HttpInspector",
    "envoy.extensions.filters.listener.original_dst.v3": "OriginalDst",
    "envoy.extensions.filters.listener.original_src.v3": "OriginalSrc",
    "envoy.extensions.filters.listener.tls_inspector.v3": "TlsInspector",
    "envoy.extensions.filters.network.http_connection_manager.v3": "HttpConnectionManager HttpFilter Rds",
    "envoy.extensions.filters.network.sni_cluster.v3": "SniCluster",
    "envoy.extensions.formatter.metadata.v3": "Metadata",
    "envoy.extensions.formatter.req_without_query.v3": "ReqWithoutQuery",
    "envoy.extensions.http.early_header_mutation.header_mutation.v3": "HeaderMutation",
    "envoy.extensions.http.header_formatters.preserve_case.v3": "PreserveCaseFormatterConfig",
    "envoy.extensions.request_id.uuid.v3": "UuidRequestIdConfig",
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3": "EnvironmentResourceDetectorConfig "
    "DynatraceResourceDetectorConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3": "DynatraceSamplerConfig",
    "envoy.extensions.filters.network.tcp_proxy.v3": "TcpProxy",
    "envoy.extensions.filters.udp.udp_proxy.v3": "Route UdpProxyConfig",
    "envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3": "FilterConfig",
    "envoy.extensions.path.match.uri_template.v3": "UriTemplateMatchConfig",
    "envoy.extensions.retry.host.previous_hosts.v3": "PreviousHostsPredicate",
    "envoy.extensions.retry.priority.previous_priorities.v3": "PreviousPrioritiesConfig",
    "envoy.extensions.transport_sockets.internal_upstream.v3": "InternalUpstreamTransport",
    "envoy.extensions.transport_sockets.proxy_protocol.v3": "ProxyProtocolUpstreamTransport",
    "envoy.extensions.transport_sockets.raw_buffer.v3": "RawBuffer",
    "envoy.extensions.transport_sockets.tls.v3": "CertificateValidationContext CommonTlsContext "
    "DownstreamTlsContext PrivateKeyProvider SdsSecretConfig Secret SubjectAltNameMatcher TlsCertificate "
    "TlsParameters UpstreamTlsContext",
    "envoy.extensions.upstreams.http.v3": "HttpProtocolOptions",
    "envoy.service.discovery.v3": "DeltaDiscoveryRequest DeltaDiscoveryResponse DiscoveryRequest "
    "DiscoveryResponse Resource",
    "envoy.type.matcher.v3": "ListStringMatcher MetadataMatcher PathMatcher RegexMatchAndSubstitute "
    "RegexMatcher StringMatcher ValueMatcher",
    "envoy.type.tracing.v3": "CustomTag",
    "opentelemetry.proto.common.v1": "AnyValue KeyValue KeyValueList",
    "envoy.type.v3": "FractionalPercent Int64Range Percent",
    "validate": "FieldRules",
    "xds.type.matcher.v3": "Matcher",
}

_RENAMED: dict[str, str] = {
    "envoy.config.rbac.v3.RBAC": "RbacRules",
    "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config": "MtlsAuthenticated",
    "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig": "DynamicForwardProxyCluster",
    "envoy.extensions.filters.http.cors.v3.CorsPolicy": "CorsRoutePolicy",
    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig": "DynamicForwardProxy",
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": "HttpExtAuthz",
    "envoy.extensions.filters.http.ext_authz.v3.HttpService": "ExtAuthzHttpService",
    "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz": "NetworkExtAuthz",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig": "GrpcStats",
    "envoy.extensions.filters.http.rbac.v3.RBAC": "HttpRbac",
    "envoy.extensions.filters.http.rbac.v3.RBACPerRoute": "HttpRbacPerRoute",
    "envoy.extensions.filters.network.rbac.v3.RBAC": "NetworkRbac",
    "envoy.extensions.filters.network.set_filter_state.v3.Config": "NetworkSetFilterState",
    "envoy.extensions.formatter.metadata.v3.Metadata": "MetadataFormatter",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol": "ProxyProtocolListenerFilter",
    "envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3.FilterConfig": "HttpCapsule",
    "envoy.extensions.filters.udp.udp_proxy.v3.Route": "UdpRoute",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": "UpstreamHttpProtocolOptions",
    "envoy.config.core.v3.Locality": "EnvoyLocality",
    "envoy.config.endpoint.v3.Endpoint": "EnvoyEndpoint",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter": "EnvoyHttpFilter",
}
"""Where the last part of the name is taken twice, or is a word of our own."""


def _names() -> dict[str, str]:
    full = [f"{package}.{name}" for package, names in _BY_PACKAGE.items() for name in names.split()]
    return {_RENAMED.get(name, name.rpartition(".")[2]): name for name in dict.fromkeys([*full, *_RENAMED])}


NAMES: dict[str, str] = _names()
"""The full name of each message, by its short name."""
