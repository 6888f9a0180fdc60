"""BackendTLSPolicy: how gateways speak TLS to a Service. Source: Gateway API reference, v1."""

from __future__ import annotations

import msgspec

from isthmus.api.gateway_api.reference import LocalObjectReference
from isthmus.api.resource import Object, Part


class PolicyTarget(Part, frozen=True, kw_only=True):
    """A Service of the same namespace, or a port of it by name."""

    group: str
    """Only the empty one, of Services, is known."""
    kind: str
    """Only `Service` is known."""
    name: str
    """The Service, of the policy's own namespace. Of two policies for one the older counts. Envoy: whose upstreams
    have the `transport_socket`."""
    section_name: str = ""
    """One port of it, by name; without it all. A port's own policy counts for that port. Envoy: whose upstreams have
    the `transport_socket`."""


class SubjectAltName(Part, frozen=True, kw_only=True):
    """A name that the certificate may have: a `Hostname` or a `URI`."""

    type: str
    """`Hostname` or `URI`. Envoy: `match_typed_subject_alt_names.san_type`."""
    hostname: str = ""
    """A DNS name of the certificate. Envoy: `match_typed_subject_alt_names.matcher`."""
    uri: str = ""
    """A URI of the certificate, such as a SPIFFE ID. Envoy: `match_typed_subject_alt_names.matcher`."""


class BackendTLSValidation(Part, frozen=True, kw_only=True):
    """Whom the gateway asks for, and whom it believes."""

    ca_certificate_refs: tuple[LocalObjectReference, ...] = ()
    """One ConfigMap or Secret with `ca.crt`, whose CAs are believed. Where none is right, or there are several, or the
    Gateway has a client's certificate, no connection succeeds. Envoy: `validation_context_sds_secret_config`."""
    well_known_ca_certificates: str = msgspec.field(default="", name="wellKnownCACertificates")
    """`System`: those are believed whom the proxy's system trusts. Envoy: `validation_context_sds_secret_config`."""
    hostname: str
    """The server name that is asked for, and that the certificate must have where `subjectAltNames` says nothing.
    Envoy: `sni`; `match_typed_subject_alt_names`."""
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    """Names of which the certificate must have one, in place of `hostname`. Envoy: `match_typed_subject_alt_names`."""


class BackendTLSPolicySpec(Part, frozen=True, kw_only=True):
    """What holds for connections of gateways to the targets."""

    target_refs: tuple[PolicyTarget, ...]
    """The Services that gateways speak TLS to; sidecars do not. Envoy: whose upstreams have the `transport_socket`."""
    validation: BackendTLSValidation
    """Whom the gateway asks for and believes. Envoy: `transport_socket` of the upstream."""
    options: dict[str, str] = {}
    """Settings of other implementations. None is read, which a warning says."""


class BackendTLSPolicy(Object, frozen=True, kw_only=True):
    """How gateways speak TLS to a Service."""

    spec: BackendTLSPolicySpec
