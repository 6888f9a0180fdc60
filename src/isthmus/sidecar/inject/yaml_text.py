"""Values as the YAML that injection writes itself, so that kubectl and Go's library read the same from it."""

from __future__ import annotations

import json
import re

import yaml

# Text that begins like a number or is one of YAML's short booleans.
_AMBIGUOUS = re.compile(r"[-+]?\.?\d.*|[yYnN]")
_BREAKS = {ord(each): f"\\u{ord(each):04x}" for each in "\x7f\x85\u2028\u2029\ufeff"}
_ON_ONE_LINE = 10**9


class CannotWrite(Exception):
    """A value that cannot stand on one line."""


def flow(value: object) -> str:
    """On one line, in JSON: that is YAML, but for what YAML takes for the end of a line, and for halves of letters.

    Raises `CannotWrite`.
    """
    try:
        return json.dumps(value, ensure_ascii=False).translate(_BREAKS)
    except TypeError as error:  # YAML has more than JSON: !!binary
        raise CannotWrite from error


def scalar(value: object, is_flow: bool) -> str:
    """A scalar on one line; `is_flow`: between braces. Raises `CannotWrite`."""
    if is_flow or not isinstance(value, str):
        return flow(value)
    dumped = yaml.dump({"": value}, Dumper=_Dumper, width=_ON_ONE_LINE, allow_unicode=True)
    return dumped.removeprefix("'': ").removesuffix("\n") if dumped.count("\n") == 1 else flow(value)


def block(value: object, column: int, line_end: str) -> str:
    """Lines in block style that begin at `column`."""
    dumped = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=_ON_ONE_LINE, allow_unicode=True)
    lines = [" " * column + line if line else line for line in dumped.split("\n")[:-1]]
    return "".join(line + line_end for line in lines)


def document(value: object, line_end: str) -> str:
    """A whole document, as values alone say it."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return text.replace("\n", line_end)


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, _: object) -> bool:
        return True


def _write(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write)
