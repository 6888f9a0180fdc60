"""Expressions in CEL, by cel-cpp, in which fields have the types that they have in JSON.

It knows CEL's own functions, and none of Kubernetes' own (`isURL`, `quantity`, …).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cel_expr_python import cel

Json = dict[str, Any]

_RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_ERROR = re.compile(r"ERROR: <input>:\d+:\d+: (?P<what>.*?)(?: \(in container|\n|$)")


def evaluated(expression: str, names: Json) -> object:
    """What the expression says of `names`; in words why it says nothing."""
    found = compiled(expression, tuple(names))
    if isinstance(found, str):
        return found
    if "__" in expression:
        names = {name: _escaped(each) for name, each in names.items()}
    try:
        said: object = found.eval(data=names).value()
    except RuntimeError as error:
        return str(error)
    return said


def _escaped(value: Any) -> Any:
    """The value with the names of its fields as expressions write them."""
    match value:
        case dict():
            return {_name(name): _escaped(each) for name, each in value.items()}
        case list():
            return [_escaped(each) for each in value]
    return value


def _name(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for sign, word in (("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")):
        name = name.replace(sign, f"__{word}__")
    return name


@cache
def _environment(names: tuple[str, ...]) -> Any:
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


@cache
def compiled(expression: str, names: tuple[str, ...]) -> Any:
    """The expression, ready to be asked about things of these names; in words why it is none."""
    try:
        return _environment(names).compile(expression)
    except RuntimeError as error:
        said = _ERROR.search(str(error))
        what = said["what"] if said is not None else str(error)
        unknown = "undeclared reference" in what
        hint = " (hint: CEL's own functions are known here, and none of Kubernetes' own)"
        return f"compilation failed: {what}{hint if unknown else ''}"
