"""Headers that proxies add, and what gateways believe of those that they are sent: ProxyConfig's word on both."""

from __future__ import annotations

from isthmus.api.istio.proxy_config import CertDetails, ProxyHeaders, Topology
from isthmus.envoy.types import HttpConnectionManager, Router
from isthmus.translate import proto
from isthmus.translate.header_case import keep_case

_SILENT = frozenset({"UNDEFINED"})
_DETAILS = {
    "SANITIZE": HttpConnectionManager.SANITIZE,
    "FORWARD_ONLY": HttpConnectionManager.FORWARD_ONLY,
    "APPEND_FORWARD": HttpConnectionManager.APPEND_FORWARD,
    "SANITIZE_SET": HttpConnectionManager.SANITIZE_SET,
    "ALWAYS_FORWARD_ONLY": HttpConnectionManager.ALWAYS_FORWARD_ONLY,
}


def apply_headers(config: HttpConnectionManager, found: ProxyHeaders) -> None:
    """Sets what `found` says; the rest stays as it is usual for the manager."""
    if found.set_current_client_cert_details is not None:
        _apply_details(config, found.set_current_client_cert_details)
    if found.request_id is not None and found.request_id.disabled:
        config.generate_request_id.value = False
    server = found.server
    if server is not None and server.disabled:
        config.server_header_transformation = config.PASS_THROUGH
        config.server_name = ""
    elif server is not None and server.value:
        config.server_header_transformation = config.OVERWRITE
        config.server_name = server.value
    if found.envoy_debug_headers is not None and found.envoy_debug_headers.disabled:
        _suppress(config)
    if found.x_forwarded_port is not None and found.x_forwarded_port.enabled:
        config.append_x_forwarded_port = True
    if found.preserve_http1_header_case:
        keep_case(config.http_protocol_options)


def apply_forwarding(config: HttpConnectionManager, found: ProxyHeaders) -> None:
    """Sets what a sidecar tells its application of callers. Of gateways it is `Topology` that says it."""
    if found.forwarded_client_cert not in _SILENT:
        config.forward_client_cert_details = _DETAILS[found.forwarded_client_cert]


def apply_topology(config: HttpConnectionManager, found: Topology) -> None:
    """Sets what a gateway believes of proxies before it."""
    config.xff_num_trusted_hops = found.num_trusted_proxies
    if found.forward_client_cert_details not in _SILENT:
        config.forward_client_cert_details = _DETAILS[found.forward_client_cert_details]


def _apply_details(config: HttpConnectionManager, found: CertDetails) -> None:
    details = config.set_current_client_cert_details
    if found.subject is not None:
        details.subject.value = found.subject
    for name in ("cert", "chain", "dns", "uri"):
        asked = getattr(found, name)
        if asked is not None:
            setattr(details, name, asked)


def _suppress(config: HttpConnectionManager) -> None:
    """Lets the router leave out the headers `x-envoy-…`."""
    for each in config.http_filters:
        if each.typed_config.type_url.endswith(".Router"):
            router = Router.FromString(each.typed_config.value)
            router.suppress_envoy_headers = True
            each.typed_config.CopyFrom(proto.any_of(router))
