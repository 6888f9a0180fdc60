"""CEL, as far as Envoy takes it in filters of access logs: what it would refuse is found before it is sent.

Source: the Common Expression Language's specification, and what Envoy's build of it knows: it refuses
calls of functions that it has not, and lets names of attributes pass that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.kit import regex

_TOKEN = re.compile(
    r"""(?P<space>[\t\n\f\r ]+|//[^\n]*)
      |(?P<text>[bB]?[rR](?:\"\"\"(?:.|\n)*?\"\"\"|'''(?:.|\n)*?'''|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      |(?P<number>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?
        |[0-9]+[eE][+-]?[0-9]+|0x[0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
      |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
      |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])
      |(?P<stray>.)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\?"'`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})|(?P<stray>\\)"""
)
_RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"),
        *("package", "namespace", "return", "var", "void", "while"),
    }
)
_BINARY: Mapping[str, int] = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_FUNCTIONS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("size", "int", "uint", "double", "bytes", "bool", "dyn", "type"), frozenset({1})),
    **dict.fromkeys(("timestamp", "duration"), frozenset({1})),
    **dict.fromkeys(("matches", "startsWith", "endsWith", "contains"), frozenset({2})),
}
"""Without `string`, and without macros over lists: Envoy builds neither in."""
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
_DEEPEST = 32
_LONGEST = 16_384


def problem_of(expression: str) -> str:
    """What Envoy would refuse in `expression`; empty: it takes it."""
    if len(expression) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    try:
        _Parser(expression).whole()
    except _Wrong as error:
        return str(error)
    return ""


class _Wrong(ValueError):
    pass


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        if kind == "stray":
            raise _Wrong(f"{found[0]!r} at character {found.start() + 1} begins nothing")
        if kind == "name" and found[0] == "in":
            kind = "sign"
        if kind != "space":
            yield _Token(kind, found[0], found.start())
    yield _Token("end", "", len(text))


class _Parser:
    """A recursive descent over the tokens; it keeps nothing."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next, self._depth = 0, 0

    def whole(self) -> None:
        self._expression()
        if self._now.kind != "end":
            self._unexpected()

    @property
    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> bool:
        if self._now.kind == "sign" and self._now.text in texts:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._unexpected(f" where {text!r} should be")

    def _unexpected(self, where: str = "") -> None:
        found = self._now
        what = "ends" if found.kind == "end" else f"has {found.text!r} at character {found.at + 1}"
        raise _Wrong(f"is no expression of CEL: it {what}{where or ' where it may not'}")

    def _expression(self) -> None:
        self._depth += 1
        self._check_depth(self._depth)
        self._binary(1)
        if self._take("?"):
            self._binary(1)
            self._expect(":")
            self._expression()
        self._depth -= 1

    @staticmethod
    def _check_depth(depth: int) -> None:
        if depth > _DEEPEST:
            raise _Wrong(f"has more than {_DEEPEST} expressions in each other")

    def _binary(self, least: int) -> None:
        self._unary()
        links = 0
        while self._now.kind == "sign" and _BINARY.get(self._now.text, 0) >= least:
            strength = _BINARY[self._now.text]
            self._next += 1
            self._binary(strength + 1)
            # Envoy balances chains of && and ||; all others lie in each other.
            links += strength > _BINARY["&&"]
            self._check_depth(self._depth + links)

    def _unary(self) -> None:
        sign = "!" if self._take("!") else "-" if self._take("-") else ""
        while sign and self._take(sign):
            pass
        if sign == "!" and self._tokens[self._next + 1 : self._next + 2] and self._now.text == "-":
            self._next += self._tokens[self._next + 1].kind == "number"
        self._member()

    def _member(self) -> None:
        self._primary()
        links = 0
        while True:
            links += 1
            self._check_depth(self._depth + links)
            if self._take("."):
                name = self._name()
                if self._take("("):
                    self._call(name, _METHODS)
            elif self._take("["):
                self._expression()
                self._expect("]")
            else:
                return

    def _name(self) -> str:
        found = self._now
        if found.kind != "name":
            self._unexpected(" where a name should be")
        self._next += 1
        return found.text

    def _primary(self) -> None:
        found = self._now
        if found.kind in {"text", "number"}:
            self._check_literal(found)
            self._next += 1
        elif self._take("("):
            self._expression()
            self._expect(")")
        elif self._take("["):
            self._several("]")
        elif self._take("{"):
            self._pairs()
        else:
            self._take(".")
            self._named()

    def _named(self) -> None:
        name = self._name()
        if name in _RESERVED:
            raise _Wrong(f"uses {name!r}, which CEL keeps for itself")
        if self._take("("):
            if name == "has":
                self._has()
            else:
                self._call(name, _FUNCTIONS)

    def _has(self) -> None:
        begin = self._next
        self._expression()
        fields = [each for each in self._tokens[begin : self._next] if each.kind != "end"]
        self._expect(")")
        if len(fields) < 3 or fields[-2].text != "." or fields[-1].kind != "name":
            raise _Wrong("has() asks for a field (hint: like has(request.headers))")

    def _several(self, end: str) -> int:
        count = 0
        while not self._take(end):
            self._expression()
            count += 1
            if not self._take(","):
                self._expect(end)
                return count
        if count and end == ")":
            self._next -= 1
            self._unexpected(" after a comma")
        return count

    def _pairs(self) -> None:
        while not self._take("}"):
            self._expression()
            self._expect(":")
            self._expression()
            if not self._take(","):
                self._expect("}")
                return

    def _call(self, name: str, known: Mapping[str, frozenset[int]]) -> None:
        begin = self._next
        count = self._several(")")
        if name not in known:
            raise _Wrong(f"calls {name}(), which Envoy does not know")
        if count not in known[name]:
            wanted = " or ".join(map(str, sorted(known[name])))
            raise _Wrong(f"calls {name}() with {count} arguments, not {wanted}")
        last = self._tokens[self._next - 2]
        if name == "matches" and last.kind == "text" and self._next - begin <= 1 + 2 * count:
            self._check_regex(last.text)

    @staticmethod
    def _check_regex(text: str) -> None:
        quotes = 3 if text.rstrip("\"'") and text.endswith(('"""', "'''")) else 1
        pattern = text.lstrip("rRbB")[quotes:-quotes]
        if regex.fault(pattern):
            raise _Wrong(f"has {text}, which is no regular expression of RE2")

    def _check_literal(self, found: _Token) -> None:
        if found.kind == "text":
            if found.text.lstrip("bB")[0] not in "rR":
                for piece in _ESCAPE.finditer(found.text):
                    if piece["stray"]:
                        raise _Wrong(f"has a backslash in {found.text} that stands for nothing")
            return
        text = found.text.rstrip("uU")
        if set(".eE") & set(text) and not text.startswith("0x"):
            return
        value = int(text, 16) if text.startswith("0x") else int(text)
        before = self._tokens[self._next - 1].text if self._next else ""
        limit = 2**64 if text != found.text else 2**63 + (before == "-")
        if value >= limit:
            raise _Wrong(f"{found.text} is too large a number")
