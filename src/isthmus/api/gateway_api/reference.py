"""How objects of the Gateway API speak of other objects. Source: Gateway API reference, v1."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Part

GROUP = "gateway.networking.k8s.io"

PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]


class ParentReference(Part, frozen=True, kw_only=True):
    """What a route wants to be attached to: a Gateway, or a Service or ServiceEntry of the mesh."""

    group: str = GROUP
    """The parent's group: that of the Gateway API, the empty one for a Service, or `networking.istio.io` for a
    ServiceEntry. Other parents are left to others."""
    kind: str = "Gateway"
    """`Gateway`, or `Service` or `ServiceEntry` for calls that sidecars make, of all hosts of the latter. Envoy: to
    which proxies the rules are sent."""
    namespace: str = ""  # empty: the route's own
    """The parent's namespace; empty: the route's own. A route of a Service of another namespace is for callers of the
    route's own namespace only."""
    name: str
    """The parent's name. Envoy: to which proxies the rules are sent."""
    section_name: str = ""  # a listener's name, or that of a Service's port
    """One listener of the Gateway, or one port of the Service or ServiceEntry, by name; without it all that let the
    route in. Envoy: in which listeners and route configurations the rules are."""
    port: PortNumber | None = None
    """Only listeners, or the Service's port, with this number. Envoy: in which listeners and route configurations the
    rules are."""


class BackendObjectReference(Part, frozen=True, kw_only=True):
    """Whom requests or connections are sent to."""

    group: str = ""
    """Its group: the empty one for Services, or `networking.istio.io` for hosts. Any other refuses the traffic meant
    for it."""
    kind: str = "Service"
    """`Service`, or `Hostname` for a host of a ServiceEntry or of any service. Any other refuses the traffic meant for
    it."""
    name: str
    """The Service, or the host. One that is not there refuses the traffic meant for it. Envoy: the fourth part of the
    upstream's name."""
    namespace: str = ""  # empty: the route's own
    """Its namespace; empty: the route's own. Another one needs a ReferenceGrant there; a host has none. Envoy: in the
    fourth part of the upstream's name."""
    port: PortNumber | None = None
    """A port of it by number; it is not found without. Envoy: the second part of the upstream's
    name."""


class BackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of the connections."""

    weight: Weight = 1
    """Its share beside the others of the rule; 0: none. A wrong backend's share is refused, not given to the others.
    Envoy: `weight` of `weighted_clusters.clusters`."""


class SecretObjectReference(Part, frozen=True, kw_only=True):
    """A certificate with its key."""

    group: str = ""
    """Only the empty one, of Secrets, is known."""
    kind: str = "Secret"
    """Only `Secret` is known."""
    name: str
    """The Secret, with `tls.crt` and `tls.key`. Envoy: in the name of `tls_certificate_sds_secret_configs`."""
    namespace: str = ""
    """Its namespace; empty: the Gateway's own. Another one needs a ReferenceGrant there. Envoy: in the name of
    `tls_certificate_sds_secret_configs`."""


class ObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind, of any namespace."""

    group: str
    """Only the empty one, of ConfigMaps and Secrets, is known."""
    kind: str
    """`ConfigMap` or `Secret`. Envoy: in the name of `validation_context_sds_secret_config`."""
    name: str
    """The object, with `ca.crt`. Envoy: in the name of `validation_context_sds_secret_config`."""
    namespace: str = ""
    """Its namespace; empty: the Gateway's own. Another one needs a ReferenceGrant there. Envoy: in the name of
    `validation_context_sds_secret_config`."""


class LocalObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind in the same namespace."""

    group: str
    """Its group: the empty one for ConfigMaps and Secrets."""
    kind: str
    """`ConfigMap` or `Secret` for the certificates of a CA; as `extensionRef` and `parametersRef` no kind is known."""
    name: str
    """The object of that kind; it holds `ca.crt`."""
