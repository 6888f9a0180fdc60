"""Ingress and IngressClass: who gets requests from outside. Source: Kubernetes API reference, networking.k8s.io/v1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Object, Part

Problem = tuple[str, str]

_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PATH_TYPES = {"Exact", "Prefix", "ImplementationSpecific"}


class IngressClassParameters(Part, frozen=True, kw_only=True):
    """An object with parameters for all Ingresses of a class."""

    api_group: str = ""
    kind: str
    name: str
    namespace: str = ""
    scope: str = "Cluster"


class IngressClassSpec(Part, frozen=True, kw_only=True):
    """Who looks after the Ingresses of this class."""

    controller: str = ""
    parameters: IngressClassParameters | None = None


class IngressClass(Object, frozen=True, kw_only=True):
    """A kind of Ingresses. It belongs to the whole cluster."""

    spec: IngressClassSpec = IngressClassSpec()


class ServiceBackendPort(Part, frozen=True, kw_only=True):
    """A port of a Service, by its name or its number."""

    name: str = ""
    number: Annotated[int, Meta(ge=0, le=65535)] = 0


class IngressServiceBackend(Part, frozen=True, kw_only=True):
    """A Service of the same namespace."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class TypedLocalObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind in the same namespace."""

    api_group: str = ""
    kind: str
    name: str


class IngressBackend(Part, frozen=True, kw_only=True):
    """Who gets requests: a Service, or another object."""

    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(Part, frozen=True, kw_only=True):
    """Requests whose path is, or begins with, `path`."""

    path: str = ""
    path_type: str
    backend: IngressBackend


class HTTPIngressRuleValue(Part, frozen=True, kw_only=True):
    """Who gets which paths."""

    paths: tuple[HTTPIngressPath, ...]


class IngressRule(Part, frozen=True, kw_only=True):
    """The paths of a host; no host: all hosts."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Part, frozen=True, kw_only=True):
    """The certificate for some hosts."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Part, frozen=True, kw_only=True):
    """Rules, certificates, and who gets what no rule is for."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTLS, ...] = ()
    rules: tuple[IngressRule, ...] = ()


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
