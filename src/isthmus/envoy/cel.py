"""CEL as Envoy takes it in filters of access logs: what it would refuse is found before it is sent.

The parser is Envoy's own, cel-cpp, so that both say the same of a text. What may be called stands here: Envoy
builds neither `string` nor macros over lists in, and lets names of attributes pass that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from cel_expr_python import cel

from isthmus.envoy.types import Any, Expr, ParsedExpr
from isthmus.kit import regex

_FUNCTIONS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("size", "int", "uint", "double", "bytes", "bool", "dyn", "type"), frozenset({1})),
    **dict.fromkeys(("timestamp", "duration"), frozenset({1})),
    **dict.fromkeys(("matches", "startsWith", "endsWith", "contains"), frozenset({2})),
}
_METHODS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches"), frozenset({1})),
    "size": frozenset({0}),
    **dict.fromkeys(
        (
            *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
            *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
        ),
        frozenset({0, 1}),
    ),
}
_LONGEST = 16_384
_ERROR = re.compile(
    r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<what>.*?)(?: expecting .*)?$", re.MULTILINE
)
_NOWHERE = 0xFFFFFFFF  # cel-cpp's line for what is wrong with the whole


def problem_of(expression: str) -> str:
    """What Envoy would refuse in `expression`; empty: it takes it."""
    if len(expression) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    try:
        parsed = _parsed(expression)
    except RuntimeError as error:
        return f"is no expression of CEL: {_said(str(error))}"
    return next(_problems(parsed), "")


def syntax(expression: str) -> Expr:
    """The expression, parsed. Raises `RuntimeError` where it is none."""
    return _parsed(expression)


def asks_for_requests(expression: str) -> bool:
    """Whether it asks for something that only requests and their answers have."""
    return not _OF_REQUESTS.isdisjoint(_names(_parsed(expression)))


def _parsed(expression: str) -> Expr:
    packed = _parser().compile(expression, disable_check=True).serialize()
    return ParsedExpr.FromString(Any.FromString(packed).value).expr


_OF_REQUESTS = frozenset({"request", "response"})


def _names(found: Expr) -> Iterator[str]:
    """The names that stand by themselves."""
    match found.WhichOneof("expr_kind"):
        case "ident_expr":
            yield found.ident_expr.name
        case "select_expr":
            yield from _names(found.select_expr.operand)
        case "call_expr":
            for each in (found.call_expr.target, *found.call_expr.args):
                yield from _names(each)
        case "list_expr":
            for each in found.list_expr.elements:
                yield from _names(each)
        case "struct_expr":
            for entry in found.struct_expr.entries:
                yield from _names(entry.map_key)
                yield from _names(entry.value)


@cache
def _parser() -> cel.Env:
    return cel.NewEnv()


def _said(text: str) -> str:
    """The first thing that cel-cpp says, in a line."""
    found = _ERROR.search(text)
    if found is None or "recursion" in text:
        return "it has more than 32 expressions in each other"
    line, column = int(found["line"]), int(found["column"])
    where = "" if line == _NOWHERE else f" at character {column}" + (f" of line {line}" if line > 1 else "")
    what = found["what"].strip().rstrip(".").removeprefix("Syntax error: ")
    what = what.replace("mismatched input '<EOF>'", "it ends too early")
    return f"{what}{where}"


def _problems(found: Expr) -> Iterator[str]:
    match found.WhichOneof("expr_kind"):
        case "select_expr":
            yield from _problems(found.select_expr.operand)
        case "call_expr":
            yield from _call(found.call_expr)
        case "list_expr":
            for each in found.list_expr.elements:
                yield from _problems(each)
        case "struct_expr":
            yield from _map(found.struct_expr)
        case "comprehension_expr":
            yield "goes over a list or map (all, exists, exists_one, filter, map), which Envoy does not know"


def _map(found: Expr.CreateStruct) -> Iterator[str]:
    if found.message_name:
        yield f"makes a message, {found.message_name}, which Envoy does not know"
    for entry in found.entries:
        yield from _problems(entry.map_key)
        yield from _problems(entry.value)


def _call(found: Expr.Call) -> Iterator[str]:
    name, count = found.function, len(found.args)
    known = _METHODS if found.HasField("target") else _FUNCTIONS
    # Operators are calls too, of names like `_==_` that nobody can write.
    if name.isidentifier() and not name.startswith("_"):
        if name not in known:
            yield f"calls {name}(), which Envoy does not know"
        elif count not in known[name]:
            yield f"calls {name}() with {count} arguments, not {' or '.join(map(str, sorted(known[name])))}"
        elif name == "matches" and found.args[-1].const_expr.HasField("string_value"):
            pattern = found.args[-1].const_expr.string_value
            if wrong := regex.fault(pattern):
                yield f"has {regex.short(pattern)}, which {wrong}"
    yield from _problems(found.target)
    for each in found.args:
        yield from _problems(each)
