"""What the shape of a Gateway API object cannot say: names, numbers of entries, choices that exclude each other.

Source: the validation rules of the Gateway API's definitions, standard channel. Values of an enumeration that
we do not know are no error here: the specification wants them told in the object's status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.gateway_api import validate_gateway, validate_route
from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.resource import Object, Part

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")

_FORMS: dict[str, tuple[re.Pattern[str], str]] = {
    "group": (re.compile(rf"({_DOMAIN})?"), 'a group such as gateway.networking.k8s.io; "" is the core one'),
    "kind": (re.compile(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?"), "a kind such as Service"),
    "namespace": (re.compile(_LABEL), "lower case letters, digits and dashes"),
    "sectionName": (re.compile(_DOMAIN), "lower case letters, digits, dashes and dots"),
    "hostname": (re.compile(rf"(\*\.)?{_DOMAIN}"), "a host such as example.com or *.example.com"),
    "hostnames": (re.compile(rf"(\*\.)?{_DOMAIN}"), "a host such as example.com or *.example.com"),
    "controllerName": (
        re.compile(rf"{_DOMAIN}/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"),
        "a domain, a slash, a path",
    ),
    "request": (_DURATION, "a duration such as 10s or 1h30m; whole numbers only"),
    "backendRequest": (_DURATION, "a duration such as 10s or 1h30m; whole numbers only"),
    "backoff": (_DURATION, "a duration such as 100ms; whole numbers only"),
}
"""The forms of texts, by the field they stand in, with a hint each; an empty text is one that is left out."""

_MOST = {
    "parentRefs": 32, "hostnames": 16, "rules": 16, "matches": 64, "filters": 16, "backendRefs": 16,
    "headers": 16, "queryParams": 16, "set": 16, "add": 16, "remove": 16, "listeners": 64, "addresses": 16,
    "certificateRefs": 64, "kinds": 8, "targetRefs": 16, "caCertificateRefs": 8, "subjectAltNames": 5,
    "allowOrigins": 64, "allowMethods": 9, "allowHeaders": 64, "exposeHeaders": 64, "from": 16, "to": 16,
    "perPort": 64, "options": 16,
}  # fmt: skip
_LEAST_ONE = {"listeners", "targetRefs", "from", "to"}


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with a decoded object of the Gateway API; nothing for objects of other kinds."""
    match found:
        case HTTPRoute():
            yield from validate_route.http_route(found)
        case GRPCRoute():
            yield from validate_route.grpc_route(found)
        case TLSRoute() | TCPRoute():
            yield from validate_route.connection_route(found)
        case Gateway():
            yield from validate_gateway.gateway(found)
        case BackendTLSPolicy():
            yield from validate_gateway.backend_tls_policy(found)
        case ReferenceGrant():
            pass
    spec = getattr(found, "spec", None)
    if isinstance(spec, Part) and type(found).__module__.startswith("isthmus.api.gateway_api"):
        yield from _forms("$.spec", spec)


def _forms(at: str, part: Part) -> Iterator[Problem]:
    """What is wrong with the texts and the numbers of entries anywhere in a part."""
    for field, name in _fields(type(part)):
        value = getattr(part, field)
        here = f"{at}.{name}"
        yield from _count(here, name, value)
        for path, each in _each(here, value):
            if isinstance(each, Part):
                yield from _forms(path, each)
            elif isinstance(each, str) and each:
                yield from _form(path, name, each)


@cache
def _fields(of: type[Part]) -> tuple[tuple[str, str], ...]:
    """Names of fields, here and as they are written."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(of))


def _each(at: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, tuple):
        yield from ((f"{at}[{index}]", each) for index, each in enumerate(value))
    else:
        yield at, value


def _count(at: str, name: str, value: object) -> Iterator[Problem]:
    if isinstance(value, tuple | dict):
        most = _MOST.get(name)
        if most is not None and len(value) > most:
            yield at, f"has {len(value)} entries (hint: {most} at the most)"
        if name in _LEAST_ONE and not value:
            yield at, "is empty (hint: give one entry at least)"


def _form(at: str, name: str, text: str) -> Iterator[Problem]:
    if name in _FORMS:
        pattern, hint = _FORMS[name]
        if not pattern.fullmatch(text):
            yield at, f"is {text!r} (hint: {hint})"
        elif name.startswith("hostname") and _ADDRESS.fullmatch(text):
            yield at, f"{text} is an address (hint: {hint})"
