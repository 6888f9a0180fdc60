"""Conditions in CEL on policies, evaluated by the library that Envoy has: cel-cpp.

Source: Envoy's "Attributes" reference. An expression that goes wrong, as at a header that is not there, does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel
from google.protobuf.message import Message

from isthmus.envoy.types import Any as AnyMessage
from isthmus.envoy.types import Expr, ParsedExpr
from isthmus.translate.trace.call import Untraceable
from isthmus.translate.trace.facts import WRITTEN_BY_ENVOY, Facts, headers_of

Json = Any

_OF_REQUESTS = ("path", "url_path", "query", "host", "method", "protocol", "headers", "referer", "useragent")
_DIGEST = "sha256_peer_certificate_digest"
_OF_CONNECTIONS = (
    *("mtls", "requested_server_name", "uri_san_peer_certificate", "dns_san_peer_certificate", _DIGEST),
)
_OF_NOBODY = ""
"""The digest of a caller's certificate: a trace is of one that no policy names, as all are that are not denied."""
_KNOWN: Mapping[str, frozenset[str]] = {
    "request": frozenset(_OF_REQUESTS),
    "destination": frozenset({"address", "port"}),
    "connection": frozenset(_OF_CONNECTIONS),
    "metadata": frozenset({"filter_metadata"}),
}
_OF_HEADERS = frozenset({("request", "headers"), ("request", "referer"), ("request", "useragent")})
_TYPE = "type.googleapis.com/cel.expr.ParsedExpr"


def condition_holds(condition: Message, facts: Facts) -> bool:
    """Whether the expression is true of `facts`. Raises `Untraceable` where it asks for what is not known here."""
    body = condition.SerializeToString(deterministic=True)
    compiled, asked = _compiled(body)
    if facts.request is None and any(root == "request" for root, _ in asked):
        raise Untraceable("a condition asks for a request where there is none")
    if facts.rewriters and not _OF_HEADERS.isdisjoint(asked):
        who = facts.rewriters[0].name
        raise Untraceable(f"a condition asks for headers, and {who} may give them other values")
    found = compiled.eval(data=_data(facts))
    return found.type() == cel.Type.BOOL and bool(found.value())


@lru_cache(maxsize=1024)
def _compiled(body: bytes) -> tuple[cel.Expression, frozenset[tuple[str, str]]]:
    expression = Expr.FromString(body)
    asked = frozenset(_attributes(expression))
    for root, field in asked:
        if field not in _KNOWN.get(root, ()):
            what = f"{root}.{field}" if field else root
            raise Untraceable(f"a condition asks for {what}, which the trace does not know")
    packed = AnyMessage(type_url=_TYPE, value=ParsedExpr(expr=expression).SerializeToString())
    return _environment().deserialize(packed.SerializeToString()), asked


@cache
def _environment() -> cel.Env:
    return cel.NewEnv()


def _attributes(found: Expr) -> Iterator[tuple[str, str]]:
    """What the expression asks for, `request` and `headers`: the root and the field under it."""
    match found.WhichOneof("expr_kind"):
        case "ident_expr":
            yield found.ident_expr.name, ""
        case "select_expr":
            yield from _selected(found)
        case "call_expr":
            yield from _attributes(found.call_expr.target)
            for each in found.call_expr.args:
                yield from _attributes(each)
            yield from _written_by_envoy(found)
        case "list_expr":
            for each in found.list_expr.elements:
                yield from _attributes(each)
        case "struct_expr":
            for entry in found.struct_expr.entries:
                yield from (*_attributes(entry.map_key), *_attributes(entry.value))
        case "comprehension_expr":
            raise Untraceable("a condition goes over a list or map, which the trace does not know")


def _selected(found: Expr) -> Iterator[tuple[str, str]]:
    operand = found.select_expr.operand
    if operand.WhichOneof("expr_kind") == "ident_expr":
        yield operand.ident_expr.name, found.select_expr.field
    else:
        yield from _attributes(operand)


def _written_by_envoy(found: Expr) -> Iterator[tuple[str, str]]:
    """Headers that Envoy itself writes are no more known than other things that are not."""
    for each in found.call_expr.args:
        if each.const_expr.string_value in WRITTEN_BY_ENVOY:
            yield "request.headers", each.const_expr.string_value


def _data(facts: Facts) -> dict[str, Json]:
    return {
        **({"request": _request(facts)} if facts.request is not None else {}),
        "destination": {"address": f"{_bracketed(facts.address)}:{facts.port}", "port": facts.port},
        "connection": _connection(facts),
        "metadata": {"filter_metadata": _as_struct(facts.metadata)},
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _request(facts: Facts) -> dict[str, Json]:
    request = facts.request
    if request is None:
        return {}
    found: dict[str, Json] = {
        "path": request.path,
        "url_path": request.bare_path,
        "host": request.host,
        "method": request.method,
        "headers": dict(headers_of(request)),
        "query": request.path.partition("?")[2].partition("#")[0],
        "protocol": facts.protocol,
    }
    for name, header in (("referer", "referer"), ("useragent", "user-agent")):
        if (value := request.value(header)) is not None:
            found[name] = value
    return found


def _connection(facts: Facts) -> dict[str, Json]:
    found: dict[str, Json] = {"mtls": facts.is_tls and bool(facts.uris or facts.names)}
    if facts.sni:
        found["requested_server_name"] = facts.sni
    for name, several in (
        ("uri_san_peer_certificate", facts.uris),
        ("dns_san_peer_certificate", facts.names),
    ):
        if facts.is_tls and several:
            found[name] = several[0]
    if found["mtls"]:
        found[_DIGEST] = _OF_NOBODY
    return found


def _as_struct(value: Json) -> Json:
    """As `google.protobuf.Struct` has it: all numbers are of one kind."""
    match value:
        case bool() | None:
            return value
        case int():
            return float(value)
        case Mapping():
            return {str(name): _as_struct(each) for name, each in value.items()}
        case list():
            return [_as_struct(each) for each in value]
        case _:
            return value
