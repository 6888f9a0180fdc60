"""BackendTLSPolicy: how gateways speak TLS to a Service. Source: Gateway API reference, v1."""

from __future__ import annotations

import msgspec

from isthmus.api.gateway_api.reference import LocalObjectReference
from isthmus.api.resource import Object, Part


class PolicyTarget(Part, frozen=True, kw_only=True):
    """A Service of the same namespace, or a port of it by name."""

    group: str
    kind: str
    name: str
    section_name: str = ""


class SubjectAltName(Part, frozen=True, kw_only=True):
    """A name that the certificate may have: a `Hostname` or a `URI`."""

    type: str
    hostname: str = ""
    uri: str = ""


class BackendTLSValidation(Part, frozen=True, kw_only=True):
    """Whom the gateway asks for, and whom it believes."""

    ca_certificate_refs: tuple[LocalObjectReference, ...] = ()
    well_known_ca_certificates: str = msgspec.field(default="", name="wellKnownCACertificates")
    hostname: str
    subject_alt_names: tuple[SubjectAltName, ...] = ()


class BackendTLSPolicySpec(Part, frozen=True, kw_only=True):
    """What holds for connections of gateways to the targets."""

    target_refs: tuple[PolicyTarget, ...]
    validation: BackendTLSValidation
    options: dict[str, str] = {}


class BackendTLSPolicy(Object, frozen=True, kw_only=True):
    """How gateways speak TLS to a Service."""

    spec: BackendTLSPolicySpec
