"""Expressions of CEL that never go wrong at what is not there: what they ask for may be missing, as a header may.

Envoy takes an expression that goes wrong for one that does not hold. Where it says whom to refuse, that would let in
whom nothing is known of: `unless_false` holds then, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.envoy.types import Expr

_ALWAYS: Mapping[str, frozenset[str]] = {
    "request": frozenset(
        {"path", "url_path", "host", "scheme", "method", "headers", "time", "size", "total_size", "protocol"}
    ),
    "source": frozenset({"address", "port"}),
    "destination": frozenset({"address", "port"}),
    "connection": frozenset({"id", "mtls"}),
}
"""The attributes that are always there. Source: Envoy's "Attributes" reference."""
_AND, _OR, _NOT, _IF, _AT = "_&&_", "_||_", "!_", "_?_:_", "_[_]"


def unless_false(found: Expr) -> Expr:
    """An expression that holds where `found` does, and where it could not be told; `found` where it always can."""
    if not any(True for _ in _doubts(found)):
        return found
    made = _call(_NOT, _false(found))
    _number(made, 1)
    return made


def _true(found: Expr) -> Expr:
    """Holds where `found` can be told to hold, and is false else."""
    name, args = found.call_expr.function, found.call_expr.args
    if name in {_AND, _OR}:
        return _call(name, _true(args[0]), _true(args[1]))
    if name == _NOT:
        return _false(args[0])
    if name == _IF:
        return _call(
            _OR, _call(_AND, _true(args[0]), _true(args[1])), _call(_AND, _false(args[0]), _true(args[2]))
        )
    return _where_told(found, found)


def _false(found: Expr) -> Expr:
    """Holds where `found` can be told not to hold, and is false else."""
    name, args = found.call_expr.function, found.call_expr.args
    if name in {_AND, _OR}:
        return _call(_OR if name == _AND else _AND, _false(args[0]), _false(args[1]))
    if name == _NOT:
        return _true(args[0])
    if name == _IF:
        return _call(
            _OR, _call(_AND, _true(args[0]), _false(args[1])), _call(_AND, _false(args[0]), _false(args[2]))
        )
    return _where_told(found, _call(_NOT, found))


def _where_told(found: Expr, made: Expr) -> Expr:
    """`made` where all is there that `found` asks for: what is asked for first is looked at first."""
    for each in reversed(tuple(_doubts(found))):
        made = _call(_AND, each, made)
    return made


def _doubts(found: Expr) -> Iterator[Expr]:
    """By what it can be told that each part is there: those within others first."""
    match found.WhichOneof("expr_kind"):
        case "select_expr":
            part = found.select_expr
            yield from _doubts(part.operand)
            if not part.test_only and part.field not in _ALWAYS.get(part.operand.ident_expr.name, ()):
                asked = Expr()
                asked.CopyFrom(found)
                asked.select_expr.test_only = True
                yield asked
        case "call_expr":
            for each in (found.call_expr.target, *found.call_expr.args):
                yield from _doubts(each)
            if found.call_expr.function == _AT:
                within, key = found.call_expr.args
                yield _call("@in", key, within)
        case "list_expr":
            for each in found.list_expr.elements:
                yield from _doubts(each)
        case "struct_expr":
            for entry in found.struct_expr.entries:
                yield from _doubts(entry.map_key)
                yield from _doubts(entry.value)


def _call(function: str, *args: Expr) -> Expr:
    return Expr(call_expr=Expr.Call(function=function, args=args))


def _number(found: Expr, number: int) -> int:
    """Gives each part a number of its own, from `number` on; returns the next."""
    found.id = number
    number += 1
    match found.WhichOneof("expr_kind"):
        case "select_expr":
            return _number(found.select_expr.operand, number)
        case "call_expr":
            targets = (found.call_expr.target,) if found.call_expr.HasField("target") else ()
            for each in (*targets, *found.call_expr.args):
                number = _number(each, number)
        case "list_expr":
            for each in found.list_expr.elements:
                number = _number(each, number)
        case "struct_expr":
            for entry in found.struct_expr.entries:
                entry.id = number
                number = _number(entry.value, _number(entry.map_key, number + 1))
    return number
