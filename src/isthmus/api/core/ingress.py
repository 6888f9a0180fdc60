"""Ingress and IngressClass: who gets requests from outside. Source: Kubernetes API reference, networking.k8s.io/v1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from isthmus.api.errors import Problem
from isthmus.api.resource import Object, Part

_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PATH_TYPES = {"Exact", "Prefix", "ImplementationSpecific"}


class IngressClassParameters(Part, frozen=True, kw_only=True):
    """An object with parameters for all Ingresses of a class."""

    api_group: str = ""
    """The object's group; no parameters are known."""
    kind: str
    """The object's kind; no parameters are known."""
    name: str
    """The object's name; it is not looked for."""
    namespace: str = ""
    """The object's namespace; it is not looked for."""
    scope: str = "Cluster"
    """`Cluster` or `Namespace`: whether the object is of a namespace."""


class IngressClassSpec(Part, frozen=True, kw_only=True):
    """Who looks after the Ingresses of this class."""

    controller: str = ""
    """Who serves the Ingresses of this class; `istio.io/ingress-controller` is this mesh. Others' are left to them.
    Envoy: whether there are listeners and routes."""
    parameters: IngressClassParameters | None = None
    """Parameters for all Ingresses of the class. They have no effect, which a warning says: none are known."""


class IngressClass(Object, frozen=True, kw_only=True):
    """A kind of Ingresses. It belongs to the whole cluster."""

    spec: IngressClassSpec = IngressClassSpec()


class ServiceBackendPort(Part, frozen=True, kw_only=True):
    """A port of a Service, by its name or its number."""

    name: str = ""
    """The port by name. Envoy: the second part of the upstream's name."""
    number: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The port by number, in place of its name. Envoy: the second part of the upstream's name."""


class IngressServiceBackend(Part, frozen=True, kw_only=True):
    """A Service of the same namespace."""

    name: str
    """The Service, of the Ingress's own namespace; one that is not there answers 503. Envoy: the fourth part of the
    upstream's name."""
    port: ServiceBackendPort = ServiceBackendPort()
    """Its port, by name or by number; one that it has not answers 503. Envoy: the second part of the upstream's
    name."""


class TypedLocalObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind in the same namespace."""

    api_group: str = ""
    """The object's group; none is known that takes requests."""
    kind: str
    """The object's kind; none is known that takes requests."""
    name: str
    """The object's name; it is not looked for."""


class IngressBackend(Part, frozen=True, kw_only=True):
    """Who gets requests: a Service, or another object."""

    service: IngressServiceBackend | None = None
    """The Service and its port. Envoy: `cluster` of the route."""
    resource: TypedLocalObjectReference | None = None
    """Another object in place of a Service. None is known: the answer is 503, with an error. Envoy:
    `direct_response`."""


class HTTPIngressPath(Part, frozen=True, kw_only=True):
    """Requests whose path is, or begins with, `path`."""

    path: str = ""
    """The path or prefix; empty: all. The exact one counts first, then the longer, then the older Ingress. Envoy:
    `path` or `prefix` of the route's match."""
    path_type: str
    """`Exact`; `Prefix`, by path elements: `/a` is `/a` and `/a/b`, not `/ab`; `ImplementationSpecific`: `/a/*` is
    such a prefix, `/a.*` any text after `/a`, anything else exact. Envoy: `path` or `prefix` of the route's match."""
    backend: IngressBackend
    """Who gets the requests. Envoy: `cluster` of the route, or `direct_response`."""


class HTTPIngressRuleValue(Part, frozen=True, kw_only=True):
    """Who gets which paths."""

    paths: tuple[HTTPIngressPath, ...]
    """Paths and who gets them. Envoy: `routes` of the virtual host."""


class IngressRule(Part, frozen=True, kw_only=True):
    """The paths of a host; no host: all hosts."""

    host: str = ""
    """The host; `*.` and a domain stand for exactly one label before it; empty: all hosts. Envoy:
    `virtual_hosts.domains`, with a matcher of `:authority` for wildcards."""
    http: HTTPIngressRuleValue | None = None
    """Who gets which paths of the host. Envoy: `routes` of the virtual host."""


class IngressTLS(Part, frozen=True, kw_only=True):
    """The certificate for some hosts."""

    hosts: tuple[str, ...] = ()
    """Server names that the certificate is for; none: all. Of two Ingresses for one the older counts. Envoy:
    `filter_chain_match.server_names`."""
    secret_name: str = ""
    """The Secret of the Ingress's own namespace with `tls.crt` and `tls.key`. Without it there is no HTTPS for the
    hosts, with an error. Envoy: `tls_certificate_sds_secret_configs`."""


class IngressSpec(Part, frozen=True, kw_only=True):
    """Rules, certificates, and who gets what no rule is for."""

    ingress_class_name: str | None = None
    """The class, which says who serves it; the annotation `kubernetes.io/ingress.class` counts before it. Without any,
    the cluster's default class counts. Envoy: whether there are routes."""
    default_backend: IngressBackend | None = None
    """Who gets the requests that no rule is for, of any host. Of several Ingresses the oldest that says it counts for
    all. Envoy: the last of the `routes` of each virtual host."""
    tls: tuple[IngressTLS, ...] = ()
    """Certificates for HTTPS on port 443; plain HTTP on port 80 stays open beside it. Envoy: filter chains of the
    listener."""
    rules: tuple[IngressRule, ...] = ()
    """Who gets the requests, by host and path. Envoy: `virtual_hosts`."""


class Ingress(Object, frozen=True, kw_only=True):
    """Who gets requests from outside."""

    spec: IngressSpec = IngressSpec()


def problems(found: Ingress) -> Iterator[Problem]:
    """Everything wrong with an Ingress. Source: the API server's own validation."""
    spec = found.spec
    if not spec.rules and spec.default_backend is None:
        yield "$.spec", "has neither rules nor defaultBackend (hint: say who gets the requests)"
    if spec.default_backend is not None:
        yield from _backend("$.spec.defaultBackend", spec.default_backend)
    for index, rule in enumerate(spec.rules):
        at = f"$.spec.rules[{index}]"
        if rule.host:
            yield from _host(f"{at}.host", rule.host)
        for number, path in enumerate(rule.http.paths if rule.http is not None else ()):
            yield from _path(f"{at}.http.paths[{number}]", path)
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            yield from _host(f"$.spec.tls[{index}].hosts[{number}]", host)


def _host(at: str, host: str) -> Iterator[Problem]:
    if not _HOST.fullmatch(host):
        yield at, f"is {host!r} (hint: a host such as example.com or *.example.com)"
    elif _ADDRESS.fullmatch(host):
        yield at, f"{host} is an address (hint: a host such as example.com)"


def _path(at: str, path: HTTPIngressPath) -> Iterator[Problem]:
    if path.path_type not in _PATH_TYPES:
        yield f"{at}.pathType", f"is {path.path_type!r} (hint: one of {', '.join(sorted(_PATH_TYPES))})"
    if path.path_type in {"Exact", "Prefix"} and not path.path.startswith("/"):
        yield f"{at}.path", f"{path.path!r} does not begin with a slash (hint: /{path.path})"
    for text in ("//", "/./", "/../", "%2f", "%2F"):
        if path.path_type != "ImplementationSpecific" and text in path.path:
            yield f"{at}.path", f"{path.path!r} has {text!r}, which no path has (hint: write it plainly)"
    yield from _backend(f"{at}.backend", path.backend)


def _backend(at: str, backend: IngressBackend) -> Iterator[Problem]:
    if (backend.service is None) == (backend.resource is None):
        yield at, "needs exactly one of service, resource"
    if backend.service is not None and bool(backend.service.port.name) == bool(backend.service.port.number):
        yield f"{at}.service.port", "needs exactly one of name, number"
