"""PeerAuthentication: on which terms workloads are called: in mutual TLS, plain text, or both.

Source: Istio's PeerAuthentication reference, every field.
"""

from __future__ import annotations

from typing import Literal

from isthmus.api.istio.wasm_plugin import MatchLabelsSelector
from isthmus.api.resource import Object, Part

MtlsMode = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]


class MutualTls(Part, frozen=True, kw_only=True):
    """On which terms callers may come."""

    mode: MtlsMode = "UNSET"
    """STRICT: in mutual TLS alone. PERMISSIVE: in mutual TLS, or as they like. DISABLE: the proxy speaks no TLS, so
    that what comes is the application's, and callers of the mesh come in plain text. UNSET: as the wider scope says,
    and PERMISSIVE where none says it.
    Envoy: filter chains of the inbound listeners, `transport_socket` with `require_client_certificate`; of callers the
    endpoints' metadata `tlsMode`, by which `transport_socket_matches` chooses."""


class PeerAuthenticationSpec(Part, frozen=True, kw_only=True):
    """For whom, and on which terms."""

    selector: MatchLabelsSelector | None = None
    """The workloads of its namespace for which this holds; without, all of the namespace, and in the root namespace
    those of the whole mesh. Envoy: in which proxies' inbound listeners, and at which endpoints, it is found."""
    mtls: MutualTls | None = None
    """The terms at all ports that `portLevelMtls` does not name. Envoy: all inbound filter chains."""
    port_level_mtls: dict[str, MutualTls] = {}
    """The terms at single ports, by the number at which the workload listens, whichever a Service gives it; UNSET is
    as `mtls` says. Beside a selector alone. Envoy: the filter chains with that `destination_port`."""


class PeerAuthentication(Object, frozen=True, kw_only=True):
    """On which terms workloads are called."""

    spec: PeerAuthenticationSpec = PeerAuthenticationSpec()
