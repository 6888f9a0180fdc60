"""What is said of a text that is no YAML: the line, what is wrong there, and the mend."""

from __future__ import annotations

import re

import yaml

from isthmus.api.errors import InvalidConfig

_MENDS = (
    (r"character.* not allowed|unacceptable character", "is it a text at all?"),
    (r"cannot start any token", "put the text in quotes"),
    (r"mapping values are not allowed", "put a text that has a colon and a space in it in quotes"),
    (r"expected ':'", "write NAME: VALUE, with a space after the colon"),
    (r"expected ',' or", "close what is open, and put commas between what stands in it"),
    (r"unexpected end of stream", "close the quotes"),
    (r"expected key|expected '-' indicator|block end", "begin what belongs together in one column"),
    (r"undefined alias", "write &NAME before it, at what it is to stand for"),
    (r"escape", "put it in single quotes, in which a backslash is one"),
)
"""By patterns of what the parser says."""


class NotYaml(InvalidConfig):
    """A document that cannot be read at all, since what stands at `line`, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__("$", message)


def not_yaml(error: yaml.YAMLError, text: str, first: int) -> NotYaml:
    """What the parser of `text` says, in our words; the text begins after `first` other lines."""
    if isinstance(error, yaml.reader.ReaderError):
        said = f"the character {error.character!r} is not allowed"
        line = text.count("\n", 0, error.position if isinstance(error.position, int) else 0)
        return NotYaml(first + line + 1, f"is not YAML: {said}{_mend(said, '')}")
    if not isinstance(error, yaml.MarkedYAMLError):
        return NotYaml(first + 1, f"is not YAML: {error}")
    said, mark = error.problem or error.context or "it cannot be read", error.problem_mark
    line = mark.line if mark else 0
    around = ""
    if error.context and error.context_mark and error.context_mark.line != line:
        around = f" {error.context}, which begins at line {first + error.context_mark.line + 1}"
    written = text.split("\n", line + 1)[line : line + 1]
    return NotYaml(first + line + 1, f"is not YAML: {said}{around}{_mend(said, ''.join(written))}")


def _mend(said: str, written: str) -> str:
    """The hint for it; tabs are what people see least."""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return " (hint: indent with spaces, not with tabs)"
    found = next((mend for pattern, mend in _MENDS if re.search(pattern, said)), "")
    return f" (hint: {found})" if found else ""
