"""EgressRule: which hosts outside the mesh could be called in 2018. Source: istio.routing.v1alpha1, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.istio_2018.service import IstioService
from isthmus.api.resource import Object, Part


class EgressPort(Part, frozen=True, kw_only=True):
    """A port of the host; `https` was called in plain text, and the sidecar made TLS of it."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    protocol: str


class EgressRuleSpec(Part, frozen=True, kw_only=True):
    """A host, a wildcard or a range of addresses, in `destination.service` alone."""

    destination: IstioService
    ports: tuple[EgressPort, ...] = ()
    use_egress_proxy: bool = False


class EgressRule(Object, frozen=True, kw_only=True):
    """Which hosts outside the mesh could be called."""

    spec: EgressRuleSpec
