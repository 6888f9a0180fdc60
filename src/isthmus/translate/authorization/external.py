"""Services that are asked whether calls may pass: extension providers of MeshConfig, by gRPC or by HTTP.

Source: Istio's MeshConfig reference, `envoyExtAuthzGrpc` and `envoyExtAuthzHttp`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from isthmus.api.istio.extension_provider import ExtensionProvider, ExternalAuthorizer, HttpAuthorizer
from isthmus.envoy.types import (
    ExtAuthzHttpService,
    HttpExtAuthz,
    ListStringMatcher,
    MetadataMatcher,
    NetworkExtAuthz,
    StringMatcher,
)
from isthmus.kit import duration
from isthmus.kit.protobuf import field
from isthmus.translate import proto
from isthmus.translate.authorization.texts import matcher
from isthmus.translate.collector_places import Place, grpc_service

_LONGEST_S = 600.0
_FORBIDDEN = 403
_CODE = 1  # field number of HttpStatus


class Authorizer(msgspec.Struct, frozen=True, eq=False):
    """A provider, and where it is reached."""

    provider: ExtensionProvider
    place: Place

    @property
    def takes_connections(self) -> bool:
        """Whether it can be asked about more than requests."""
        return self.provider.envoy_ext_authz_grpc is not None


def about_requests(found: Authorizer, when: MetadataMatcher) -> HttpExtAuthz:
    """The filter that asks about requests of which `when` holds."""
    over_http, over_grpc = found.provider.envoy_ext_authz_http, found.provider.envoy_ext_authz_grpc
    asked: ExternalAuthorizer = over_http or over_grpc or ExternalAuthorizer()
    config = HttpExtAuthz(
        transport_api_version="V3",
        failure_mode_allow=asked.fail_open,
        clear_route_cache=bool(asked.clear_route_cache),
        filter_enabled_metadata=when,
    )
    # Envoy names each status, and users number them.
    config.status_on_error.MergeFromString(field(_CODE, int(asked.status_on_error or _FORBIDDEN)))
    if over_http is not None:
        config.http_service.CopyFrom(_http_service(over_http, found.place))
        seen = (*over_http.include_request_headers_in_check, *over_http.include_headers_in_check)
        if seen:
            config.allowed_headers.CopyFrom(_any_of(seen))
    else:
        config.grpc_service.CopyFrom(grpc_service(found.place))
        config.grpc_service.timeout.CopyFrom(proto.seconds(_limit_s(asked)))
    body = asked.include_request_body_in_check
    if body is not None:
        config.with_request_body.max_request_bytes = body.max_request_bytes
        config.with_request_body.allow_partial_message = body.allow_partial_message
        config.with_request_body.pack_as_bytes = body.pack_as_bytes
    return config


def about_connections(found: Authorizer, when: MetadataMatcher) -> NetworkExtAuthz:
    """The filter that asks about connections of which `when` holds."""
    asked = found.provider.envoy_ext_authz_grpc or ExternalAuthorizer()
    config = NetworkExtAuthz(
        stat_prefix="tcp.",
        transport_api_version="V3",
        failure_mode_allow=asked.fail_open,
        filter_enabled_metadata=when,
        grpc_service=grpc_service(found.place),
    )
    config.grpc_service.timeout.CopyFrom(proto.seconds(_limit_s(asked)))
    return config


def _limit_s(asked: ExternalAuthorizer) -> float:
    return duration.parse(asked.timeout) if asked.timeout else _LONGEST_S


def _http_service(asked: HttpAuthorizer, place: Place) -> ExtAuthzHttpService:
    service = ExtAuthzHttpService(path_prefix=asked.path_prefix)
    service.server_uri.uri = f"http://{place.authority}"
    service.server_uri.cluster = place.upstream
    service.server_uri.timeout.CopyFrom(proto.seconds(_limit_s(asked)))
    for name, value in asked.include_additional_headers_in_check.items():
        service.authorization_request.headers_to_add.add(key=name, value=value)
    answer = service.authorization_response
    for names, matchers in (
        (asked.headers_to_upstream_on_allow, answer.allowed_upstream_headers),
        (asked.headers_to_downstream_on_deny, answer.allowed_client_headers),
        (asked.headers_to_downstream_on_allow, answer.allowed_client_headers_on_success),
    ):
        if names:
            matchers.CopyFrom(_any_of(names))
    return service


def _any_of(names: Iterable[str]) -> ListStringMatcher:
    return ListStringMatcher(patterns=map(_named, names))


def _named(name: str) -> StringMatcher:
    """A header's name, by `pre*` or `*suf`; they are in lower case."""
    return matcher(name, ignore_case=True)
