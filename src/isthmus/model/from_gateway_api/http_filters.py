"""Filters of an HTTPRoute rule → what a route of a VirtualService does, but for where it sends requests."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.api.gateway_api.http_filter import (
    HTTPCORSFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
)
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.istio.http_route import CorsPolicy, HTTPMirrorPolicy, HTTPRedirect, StringMatch
from isthmus.api.istio.text_problems import word
from isthmus.kit import duration
from isthmus.model.from_gateway_api.references import Doubt
from isthmus.model.from_gateway_api.rule_parts import UNSUPPORTED, Resolver

_CODES = {301, 302, 303, 307, 308}
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
GRPC_FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror")
HTTP_FILTERS = (*GRPC_FILTERS, "RequestRedirect", "URLRewrite", "CORS")
"""The types of filters that rules of each kind of routes can have."""
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """By which door requests come: a redirect depends on it. Port 0: that of whatever Service is called."""

    scheme: str = "http"
    port: int = 0


@dataclass(slots=True)
class Actions:
    """What the filters of a rule do."""

    request_headers: HTTPHeaderFilter | None = None
    response_headers: HTTPHeaderFilter | None = None
    redirect: HTTPRequestRedirectFilter | None = None
    rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    mirrors: list[HTTPMirrorPolicy] = field(default_factory=list)
    unresolved: list[Doubt] = field(default_factory=list)
    unsupported: list[Doubt] = field(default_factory=list)


def actions(
    filters: Iterable[HTTPRouteFilter], resolver: Resolver, at: str, known: Collection[str] = HTTP_FILTERS
) -> Actions:
    """What all `filters` do together, and what stands against them; types that are not `known` do nothing."""
    found = Actions()
    for index, each in enumerate(filters):
        path = f"{at}[{index}]"
        found.unsupported += [Doubt(UNSUPPORTED, *wrong) for wrong in word(f"{path}.type", each.type, known)]
        match each:
            case HTTPRouteFilter(type="RequestHeaderModifier", request_header_modifier=asked):
                found.request_headers = asked
            case HTTPRouteFilter(type="ResponseHeaderModifier", response_header_modifier=asked):
                found.response_headers = asked
            case HTTPRouteFilter(type="RequestRedirect", request_redirect=redirect):
                found.redirect = redirect
            case HTTPRouteFilter(type="URLRewrite", url_rewrite=rewrite):
                found.rewrite = rewrite
            case HTTPRouteFilter(type="CORS", cors=cors):
                found.cors = cors
            case HTTPRouteFilter(type="RequestMirror", request_mirror=mirror) if mirror is not None:
                leads = resolver.mirror(mirror, f"{path}.requestMirror")
                if isinstance(leads, Doubt):
                    found.unresolved.append(leads)
                else:
                    found.mirrors.append(leads)
        found.unsupported.extend(_unknown(each, path))
    if found.redirect is not None and found.rewrite is not None:
        found.unsupported.append(_incompatible(at))
    return found


def incompatible(route: HTTPRoute) -> Iterator[Doubt]:
    """What no implementation accepts: that requests are sent elsewhere by the answer, and rewritten for a backend."""
    for number, rule in enumerate(route.spec.rules):
        if {"RequestRedirect", "URLRewrite"} <= {each.type for each in rule.filters}:
            yield _incompatible(f"$.spec.rules[{number}].filters")


def _incompatible(at: str) -> Doubt:
    message = "have both a RequestRedirect and a URLRewrite (hint: one of both)"
    return Doubt("IncompatibleFilters", at, message)


def _unknown(found: HTTPRouteFilter, at: str) -> Iterator[Doubt]:
    redirect, cors = found.request_redirect, found.cors
    if redirect is not None:
        if redirect.scheme not in {"", "http", "https"}:
            message = f"is {redirect.scheme!r} (hint: http or https)"
            yield Doubt(UNSUPPORTED, f"{at}.requestRedirect.scheme", message)
        if redirect.status_code not in _CODES:
            message = f"is {redirect.status_code} (hint: one of {', '.join(map(str, sorted(_CODES)))})"
            yield Doubt(UNSUPPORTED, f"{at}.requestRedirect.statusCode", message)
    for name, part in (("requestRedirect", redirect), ("urlRewrite", found.url_rewrite)):
        path = part.path if part is not None else None
        if path is not None and path.type not in {"ReplaceFullPath", "ReplacePrefixMatch"}:
            message = f"is {path.type!r} (hint: ReplaceFullPath or ReplacePrefixMatch)"
            yield Doubt(UNSUPPORTED, f"{at}.{name}.path.type", message)
    if cors is not None and cors.allow_credentials:
        for field_name, values in (
            ("allowHeaders", cors.allow_headers),
            ("exposeHeaders", cors.expose_headers),
        ):
            if "*" in values:
                message = (
                    "is * with credentials, which browsers take for a header's name (hint: name the headers)"
                )
                yield Doubt(UNSUPPORTED, f"{at}.cors.{field_name}", message)


def redirect_of(asked: HTTPRequestRedirectFilter, site: Site, prefix: str | None) -> HTTPRedirect:
    """Where callers are sent; `prefix` is what stands for the matched prefix, None where the path stays.

    Source: HTTPRequestRedirectFilter reference, port: that of the redirect's scheme, else the listener's,
    and not said where it is the usual one of the scheme.
    """
    scheme = asked.scheme or site.scheme
    port = asked.port or 0
    derive = ""
    if port == _USUAL_PORTS[scheme]:
        port = 0 if asked.hostname or _is_usual(site) else port
    elif not port and asked.scheme:
        # Without a host of its own the answer repeats the request's, with its port where it has an unusual one.
        derive = "" if asked.hostname or _is_usual(site) else "FROM_PROTOCOL_DEFAULT"
    elif not port and not _is_usual(site):
        derive = "FROM_REQUEST_PORT"
    full = asked.path.replace_full_path if asked.path is not None else None
    return HTTPRedirect(
        scheme=asked.scheme,
        authority=asked.hostname,
        port=port,
        derive_port=derive,
        redirect_code=asked.status_code,
        uri=full or "",
        prefix_rewrite=prefix or "",
    )


def _is_usual(site: Site) -> bool:
    return site.port == _USUAL_PORTS[site.scheme]


def replaced_prefix(path: HTTPPathModifier | None) -> str | None:
    """What stands in place of the matched prefix, without its last slash; None where the prefix stays."""
    if path is None or path.type != "ReplacePrefixMatch":
        return None
    return (path.replace_prefix_match or "").rstrip("/")


def cors_of(asked: HTTPCORSFilter) -> CorsPolicy:
    """Who may ask. An origin that is not allowed is answered by the proxy, not by the service."""
    methods = asked.allow_methods
    if "*" in methods and asked.allow_credentials:
        methods = _METHODS  # with credentials, browsers take a star for a method's name
    return CorsPolicy(
        allow_origins=tuple(_origin(each) for each in asked.allow_origins),
        allow_methods=methods,
        allow_headers=asked.allow_headers,
        expose_headers=asked.expose_headers,
        max_age=duration.show(asked.max_age),
        allow_credentials=asked.allow_credentials or None,
        unmatched_preflights="IGNORE",
    )


def _origin(text: str) -> StringMatch:
    if "*" not in text:
        return StringMatch(exact=text)
    return StringMatch(regex=".*".join(re.escape(part) for part in text.split("*")))
