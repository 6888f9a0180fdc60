"""TLS between workloads: who shows which certificate, and whom they believe.

Certificates come from the agent beside each Envoy, over SDS; we never see a key. ALPN tells a workload's
sidecar that a caller is of the mesh, so that it can take both mutual TLS and plain text on one port.
Envoy has none of Istio's filters, so each side says by ALPN only what stock Envoy can match on.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.api.istio.mesh_config import TlsConfig
from isthmus.envoy.types import (
    ApiConfigSource,
    CertificateValidationContext,
    Cluster,
    CommonTlsContext,
    ConfigSource,
    DownstreamTlsContext,
    GrpcService,
    RawBuffer,
    SdsSecretConfig,
    StringMatcher,
    Struct,
    SubjectAltNameMatcher,
    TlsParameters,
    TransportSocket,
    UpstreamTlsContext,
)
from isthmus.model.identity import SpiffeId
from isthmus.translate import proto
from isthmus.translate.names import CERTIFICATE_SECRET, ROOT_SECRET, SDS_UPSTREAM

MESH_ALPN = ("istio-peer-exchange", "istio")
"""What a caller of the mesh offers where bytes are passed on as they are."""
MESH_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What it offers where it speaks HTTP: the form tells a sidecar that does not know its port's protocol."""
ALL_MESH_ALPN = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")

TLS_MODE = "tlsMode"
"""The key in an endpoint's metadata by which the transport socket is chosen for it."""


def mutual_upstream(
    identities: Iterable[SpiffeId],
    sni: str,
    alpn: tuple[str, ...],
    named: list[SubjectAltNameMatcher] | None = None,
) -> TransportSocket:
    """TLS with the workload's own certificate, to a peer that is one of `identities`, or has one of the names `named`.

    Neither: any peer that the root vouches for is taken, as where no endpoint is known yet.
    """
    matchers = named or [_uri(StringMatcher(exact=str(identity))) for identity in identities]
    context = UpstreamTlsContext(sni=server_name(sni), common_tls_context=_common(matchers, alpn))
    return proto.transport_socket("tls", context)


def server_name(name: str) -> str:
    """`name`, if it can be one in a TLS handshake."""
    if "\0" in name:
        raise ValueError(f"{name!r} is no server name")
    return name


def mutual_downstream(trust_domains: Iterable[str], strength: TlsConfig | None = None) -> TransportSocket:
    """TLS that asks the caller for a certificate of one of `trust_domains` and shows the workload's own."""
    context = mutual_server(trust_domains, ("h2", "http/1.1"))
    apply_strength(context.common_tls_context.tls_params, strength)
    return proto.transport_socket("tls", context)


def mutual_server(
    trust_domains: Iterable[str], alpn: Iterable[str], callers: list[SubjectAltNameMatcher] | None = None
) -> DownstreamTlsContext:
    """The same as a context; `callers` are who may call, where that is not everybody of `trust_domains`."""
    everybody = [_uri(StringMatcher(prefix=f"spiffe://{each}/")) for each in trust_domains]
    context = DownstreamTlsContext(common_tls_context=_common(callers or everybody, tuple(alpn)))
    context.require_client_certificate.value = True
    resume_nothing(context)
    return context


def resume_nothing(context: DownstreamTlsContext) -> None:
    """Every connection of callers that show certificates is a handshake, in which they are looked at.

    Of a session that is resumed Envoy says that its certificate was not validated: policies would know no caller,
    and one that denies by identity would let it in (github.com/envoyproxy/envoy/issues/42668). Nor would a certificate
    that has ended be noticed.
    """
    context.disable_stateless_session_resumption = True
    context.disable_stateful_session_resumption = True


VERSIONS = {
    "TLSV1_0": TlsParameters.TLSv1_0,
    "TLSV1_1": TlsParameters.TLSv1_1,
    "TLSV1_2": TlsParameters.TLSv1_2,
    "TLSV1_3": TlsParameters.TLSv1_3,
}
"""TLS_AUTO is none of them: what that means depends on who says it."""


def apply_strength(params: TlsParameters, found: TlsConfig | None) -> None:
    """Sets how strong TLS must be, where anybody says it."""
    if found is None:
        return
    if found.min_protocol_version in VERSIONS:
        params.tls_minimum_protocol_version = VERSIONS[found.min_protocol_version]
    params.ecdh_curves.extend(found.ecdh_curves)
    params.cipher_suites.extend(found.cipher_suites)


def plain() -> TransportSocket:
    return proto.transport_socket("raw_buffer", RawBuffer())


def automatic(mutual: TransportSocket) -> list[Cluster.TransportSocketMatch]:
    """`mutual` for endpoints that have a sidecar, plain text for the others."""
    with_sidecar = Struct()
    with_sidecar.update({TLS_MODE: "istio"})
    return [
        Cluster.TransportSocketMatch(name="tlsMode-istio", match=with_sidecar, transport_socket=mutual),
        Cluster.TransportSocketMatch(name="tlsMode-disabled", match=Struct(), transport_socket=plain()),
    ]


def upstream_alpn(http: bool, http2: bool) -> tuple[str, ...]:
    """What a caller offers for an upstream whose protocol is known.

    One token per protocol and the mesh's own: Envoy takes the first offered that a filter chain matches.
    """
    if http2:
        return ("istio-h2", "istio")
    return ("istio-http/1.1", "istio") if http else MESH_ALPN


def sds(name: str, *, waits: bool = True) -> SdsSecretConfig:
    """The secret `name` as the agent serves it; who does not wait for it does without after 15 seconds."""
    agent = ApiConfigSource(
        api_type=ApiConfigSource.GRPC,
        transport_api_version="V3",
        set_node_on_first_message_only=True,
        grpc_services=[GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=SDS_UPSTREAM))],
    )
    source = ConfigSource(resource_api_version="V3", api_config_source=agent)
    if waits:
        # No limit to the first fetch: without certificate a listener must wait, not open.
        source.initial_fetch_timeout.CopyFrom(proto.seconds(0))
    return SdsSecretConfig(name=name, sds_config=source)


def in_file(name: str) -> SdsSecretConfig:
    """The secret that stands for files beside Envoy. One that is missing must not keep others waiting."""
    return sds(name, waits=False)


def secret(name: str) -> SdsSecretConfig:
    """The secret `name` as we serve it, over the stream by which everything else comes.

    What is not there must not keep a listener from opening for others: Envoy waits 15 seconds for an answer.
    """
    source = ConfigSource(resource_api_version="V3")
    source.ads.SetInParent()
    return SdsSecretConfig(name=name, sds_config=source)


def _common(names: list[SubjectAltNameMatcher], alpn: tuple[str, ...]) -> CommonTlsContext:
    return CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version="TLSv1_2", tls_maximum_protocol_version="TLSv1_3"
        ),
        tls_certificate_sds_secret_configs=[sds(CERTIFICATE_SECRET)],
        combined_validation_context=CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=names),
            validation_context_sds_secret_config=sds(ROOT_SECRET),
        ),
        alpn_protocols=alpn,
    )


def _uri(matcher: StringMatcher) -> SubjectAltNameMatcher:
    return SubjectAltNameMatcher(san_type="URI", matcher=matcher)
