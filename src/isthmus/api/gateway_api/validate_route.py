"""What must not be in a route. Source: the validation rules of the routes' definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from isthmus.api.errors import Problem
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.grpc_route import GRPCMethodMatch, GRPCRoute
from isthmus.api.gateway_api.http_filter import (
    GRPCRouteFilter,
    HTTPCORSFilter,
    HTTPPathModifier,
    HTTPRouteFilter,
)
from isthmus.api.gateway_api.http_route import (
    HTTPHeaderMatch,
    HTTPPathMatch,
    HTTPQueryParamMatch,
    HTTPRoute,
    HTTPRouteMatch,
    HTTPRouteRule,
)
from isthmus.api.gateway_api.reference import ParentReference
from isthmus.api.istio import text_problems as texts
from isthmus.kit import duration

_MOST_MATCHES = 128  # in all rules of a route together
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F", "#")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_SERVICE = re.compile(r"\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*")
_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_REGEX = "RegularExpression"
_SETTINGS = {
    "RequestHeaderModifier": "request_header_modifier",
    "ResponseHeaderModifier": "response_header_modifier",
    "RequestMirror": "request_mirror",
    "RequestRedirect": "request_redirect",
    "URLRewrite": "url_rewrite",
    "CORS": "cors",
    "ExtensionRef": "extension_ref",
}
"""Where each type of filter has its settings."""
_MANY = {"RequestMirror", "ExtensionRef"}


def repeated(at: str, field: str, names: Sequence[str]) -> Iterator[Problem]:
    """A problem for each entry whose `field` an earlier one has; empty names do not count."""
    for index, name in enumerate(names):
        if name and name in names[:index]:
            yield f"{at}[{index}].{field}", f"{name!r} stands twice (hint: each needs one of its own)"


def http_route(found: HTTPRoute) -> Iterator[Problem]:
    """Its parents are distinct, and each rule has one action."""
    rules = found.spec.rules
    yield from _parents(found.spec.parent_refs)
    yield from repeated("$.spec.rules", "name", [rule.name for rule in rules])
    yield from _total(sum(len(rule.matches) or 1 for rule in rules))
    for index, rule in enumerate(rules):
        yield from _http_rule(f"$.spec.rules[{index}]", rule)


def grpc_route(found: GRPCRoute) -> Iterator[Problem]:
    """Its parents are distinct, and each condition names a service or a method."""
    yield from _parents(found.spec.parent_refs)
    yield from repeated("$.spec.rules", "name", [rule.name for rule in found.spec.rules])
    yield from _total(sum(len(rule.matches) for rule in found.spec.rules))
    for index, rule in enumerate(found.spec.rules):
        at = f"$.spec.rules[{index}]"
        for number, match in enumerate(rule.matches):
            yield from _pairs(f"{at}.matches[{number}].headers", match.headers)
            if match.method is not None:
                yield from _grpc_method(f"{at}.matches[{number}].method", match.method)
        yield from _filters(f"{at}.filters", rule.filters)
        for number, backend in enumerate(rule.backend_refs):
            yield from _filters(f"{at}.backendRefs[{number}].filters", backend.filters)


def connection_route(found: TLSRoute | TCPRoute) -> Iterator[Problem]:
    """Its parents are distinct, and each rule leads somewhere."""
    yield from _parents(found.spec.parent_refs)
    if not found.spec.rules:
        yield "$.spec.rules", "is empty (hint: give one entry at least)"
    for index, rule in enumerate(found.spec.rules):
        if not rule.backend_refs:
            yield f"$.spec.rules[{index}].backendRefs", "is empty (hint: name a Service and its port)"
    if isinstance(found, TLSRoute) and not found.spec.hostnames:
        yield "$.spec.hostnames", "is empty (hint: the server names that clients ask for)"


def _parents(parents: Sequence[ParentReference]) -> Iterator[Problem]:
    """Two references to one parent name different sections or ports of it."""
    whole = [(each.group, each.kind, each.namespace, each.name) for each in parents]
    parts = [(*key, each.section_name, each.port) for key, each in zip(whole, parents, strict=True)]
    for index, parent in enumerate(parents):
        alone = whole.count(whole[index]) == 1
        if not alone and (parts.count(parts[index]) > 1 or not (parent.section_name or parent.port)):
            at = f"$.spec.parentRefs[{index}]"
            yield at, f"{parent.name} is a parent twice (hint: give each a sectionName or port of its own)"


def _total(matches: int) -> Iterator[Problem]:
    if matches > _MOST_MATCHES:
        yield "$.spec.rules", f"have {matches} matches together (hint: {_MOST_MATCHES} at the most)"


def _http_rule(at: str, rule: HTTPRouteRule) -> Iterator[Problem]:
    for index, match in enumerate(rule.matches):
        yield from _http_match(f"{at}.matches[{index}]", match)
    yield from _http_filters(f"{at}.filters", rule.filters, rule)
    if rule.backend_refs and any(each.type == "RequestRedirect" for each in rule.filters):
        yield (
            at,
            "has both a RequestRedirect and backendRefs (hint: a request that is redirected goes nowhere)",
        )
    for index, backend in enumerate(rule.backend_refs):
        yield from _http_filters(f"{at}.backendRefs[{index}].filters", backend.filters, rule)
    timeouts = rule.timeouts
    if timeouts is not None and timeouts.request and timeouts.backend_request:
        whole_s, each_s = _seconds(timeouts.request), _seconds(timeouts.backend_request)
        if 0 < whole_s < each_s:
            path = f"{at}.timeouts.backendRequest"
            yield path, f"is longer than the whole request may take, {timeouts.request}"


def _seconds(text: str) -> float:
    """The seconds in `text`; 0 where it is no duration, which is told elsewhere."""
    try:
        return duration.parse(text)
    except ValueError:
        return 0.0


def _http_match(at: str, match: HTTPRouteMatch) -> Iterator[Problem]:
    yield from _path(f"{at}.path.value", match.path)
    yield from _pairs(f"{at}.headers", match.headers)
    yield from _pairs(f"{at}.queryParams", match.query_params)


def _path(at: str, path: HTTPPathMatch) -> Iterator[Problem]:
    if path.type == _REGEX:
        yield from texts.regex(at, path.value)
    if path.type not in {"Exact", "PathPrefix"}:
        return
    if not path.value.startswith("/"):
        yield at, f"{path.value!r} does not begin with a slash (hint: /{path.value})"
    found = [text for text in _NOT_IN_PATHS if text in path.value]
    found += [text for text in ("/..", "/.") if path.value.endswith(text)]
    if found:
        yield at, f"{path.value!r} has {found[0]!r}, which no path has (hint: write it plainly)"
    elif path.value.startswith("/") and not _PATH.fullmatch(path.value):
        yield at, f"{path.value!r} has characters that no path has (hint: write them as %20)"


def _pairs(at: str, pairs: Sequence[HTTPHeaderMatch | HTTPQueryParamMatch]) -> Iterator[Problem]:
    for index, each in enumerate(pairs):
        if not _HEADER.fullmatch(each.name):
            yield f"{at}[{index}].name", f"{each.name!r} is no name (hint: letters, digits and dashes)"
        if each.type == _REGEX:
            yield from texts.regex(f"{at}[{index}].value", each.value)


def _grpc_method(at: str, method: GRPCMethodMatch) -> Iterator[Problem]:
    if not method.service and not method.method:
        yield at, "has neither service nor method (hint: leave it out to match every call)"
    if method.type == "Exact":
        if method.service and not _SERVICE.fullmatch(method.service):
            yield f"{at}.service", f"{method.service!r} is no service (hint: such as shop.v1.Cart)"
        if method.method and not _METHOD.fullmatch(method.method):
            yield f"{at}.method", f"{method.method!r} is no method (hint: such as AddItem)"
    elif method.type == _REGEX:
        yield from texts.regex(f"{at}.service", method.service)
        yield from texts.regex(f"{at}.method", method.method)


def _http_filters(at: str, filters: Sequence[HTTPRouteFilter], rule: HTTPRouteRule) -> Iterator[Problem]:
    yield from _filters(at, filters)
    for index, each in enumerate(filters):
        for name, part in (("requestRedirect", each.request_redirect), ("urlRewrite", each.url_rewrite)):
            if part is not None and part.hostname.startswith("*"):
                yield f"{at}[{index}].{name}.hostname", f"{part.hostname!r} is a wildcard (hint: one host)"
        if each.request_redirect is not None and each.request_redirect.path is not None:
            yield from _modifier(f"{at}[{index}].requestRedirect.path", each.request_redirect.path, rule)
        if each.url_rewrite is not None and each.url_rewrite.path is not None:
            yield from _modifier(f"{at}[{index}].urlRewrite.path", each.url_rewrite.path, rule)
        if each.cors is not None:
            yield from _cors(f"{at}[{index}].cors", each.cors)


def _filters(at: str, filters: Sequence[GRPCRouteFilter]) -> Iterator[Problem]:
    types = [each.type for each in filters]
    for index, each in enumerate(filters):
        here = f"{at}[{index}]"
        if each.type in types[:index] and each.type in _SETTINGS.keys() - _MANY:
            yield here, f"{each.type} stands twice (hint: put both into one)"
        for type_, field in _SETTINGS.items():
            given = getattr(each, field, None) is not None
            if given and each.type != type_:
                yield f"{here}.type", f"is {each.type!r} and the settings are those of {type_}"
            if not given and each.type == type_ and hasattr(each, field):
                yield here, f"says type {type_} and gives no settings for it"
        mirror = each.request_mirror
        if mirror is not None and mirror.percent is not None and mirror.fraction is not None:
            yield f"{here}.requestMirror", "has both percent and fraction (hint: one of both)"
        if mirror is not None and mirror.fraction and mirror.fraction.numerator > mirror.fraction.denominator:
            yield f"{here}.requestMirror.fraction", "is more than the whole"


def _modifier(at: str, path: HTTPPathModifier, rule: HTTPRouteRule) -> Iterator[Problem]:
    given = {"ReplaceFullPath": path.replace_full_path, "ReplacePrefixMatch": path.replace_prefix_match}
    for type_, value in given.items():
        field = type_[0].lower() + type_[1:]
        if path.type == type_ and value is None:
            yield at, f"says type {type_} and gives no {field}"
        if path.type != type_ and value is not None:
            yield f"{at}.type", f"is {path.type!r} and {field} is given (hint: {type_})"
    if path.type == "ReplacePrefixMatch":
        types = [match.path.type for match in rule.matches or (HTTPRouteMatch(),)]
        if types != ["PathPrefix"]:
            yield (
                at,
                "replaces a prefix where there is not exactly one match, with a PathPrefix (hint: split the rule)",
            )


def _cors(at: str, cors: HTTPCORSFilter) -> Iterator[Problem]:
    for field, values in (
        ("allowOrigins", cors.allow_origins),
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
    ):
        if "*" in values and len(values) > 1:
            yield f"{at}.{field}", "has * beside others (hint: * alone means all)"
