"""What the mesh's settings say of calls to a service, where nothing nearer does."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from isthmus.api.istio.destination_rule import ClientTLSSettings, ConnectionPoolSettings
from isthmus.envoy.types import Cluster, UpstreamTlsContext
from isthmus.model.setting_parts import UpstreamSettings
from isthmus.translate import proto
from isthmus.translate.transport import apply_strength
from isthmus.translate.upstream_policy import Policy


def settled(policy: Policy, settings: UpstreamSettings) -> Policy:
    """`policy` with what the mesh says in the place of what it leaves unsaid."""
    pool = _pool(policy, settings)
    tls = policy.tls
    if tls is None and not settings.auto_mtls:
        tls = ClientTLSSettings(mode="DISABLE")
    detection = policy.outlier_detection or settings.outlier_detection
    return replace(policy, connection_pool=pool, outlier_detection=detection, tls=tls)


def strengthen(upstream: Cluster, policy: Policy, settings: UpstreamSettings) -> None:
    """Make TLS that is not the mesh's own as strong as the mesh's settings want it."""
    mode = policy.tls.mode if policy.tls is not None else ""
    if settings.tls is None or mode not in {"SIMPLE", "MUTUAL"} or not upstream.HasField("transport_socket"):
        return
    packed = upstream.transport_socket.typed_config
    if not packed.type_url.endswith(".UpstreamTlsContext"):
        return
    context = UpstreamTlsContext.FromString(packed.value)
    apply_strength(context.common_tls_context.tls_params, settings.tls)
    packed.CopyFrom(proto.any_of(context))


def _pool(policy: Policy, settings: UpstreamSettings) -> ConnectionPoolSettings | None:
    pool = policy.connection_pool or settings.connection_pool
    said = replace(policy, connection_pool=pool)
    tcp, http = said.tcp, said.http
    if settings.tcp_keepalive is not None and tcp.tcp_keepalive is None:
        tcp = msgspec.structs.replace(tcp, tcp_keepalive=settings.tcp_keepalive)
    if settings.h2_upgrade and http.h2_upgrade_policy in {"", "DEFAULT"}:
        http = msgspec.structs.replace(http, h2_upgrade_policy="UPGRADE")
    if tcp is said.tcp and http is said.http:
        return pool
    return msgspec.structs.replace(pool or ConnectionPoolSettings(), tcp=tcp, http=http)
