"""What programs such as kubectl and helm take, as they say themselves: each command is asked for its help once."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache

_COMMAND = re.compile(r"^  ([a-z][\w-]*)(?: {2,}|\t)\S", re.MULTILINE)
_OF_KUBECTL = re.compile(r"^ +(?:(-\w), )?(--[\w-]+)=(.*):$", re.MULTILINE)
_OF_HELM = re.compile(r"^ +(?:(-\w), )?(--[\w-]+)(?: ([\w=./]+))?(?: {2,}|$)", re.MULTILINE)
_ALSO = {"-h": False, "--help": False}


class ToldCommands:
    """A program whose help is read."""

    def __init__(self, program: str, *general: str) -> None:
        """`general`: the command that tells which options all commands take."""
        self._program = program
        self._general = self._options(" ".join(general)) if general else {}

    def unknown(self, words: Sequence[str]) -> Iterator[str]:
        """What is no command, or no option of the command, in the words after the program."""
        path, left = "", list(words)
        while left and left[0] != "--":
            word = left.pop(0)
            if word.startswith("-") and len(word) > 1:
                yield from self._wrong(path, word, left)
            elif below := self._below(path):
                whole = f"{path} {word}".strip()
                if word not in below and _help(self._program, whole) in {"", _help(self._program, path)}:
                    yield whole  # neither a command nor another name of one
                    return
                path = whole

    def _wrong(self, path: str, word: str, left: list[str]) -> Iterator[str]:
        name, equals, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2:  # -pVALUE
            name, value = name[:2], name[2:]
        known = self._general | self._options(path) | _ALSO
        if name not in known:
            yield f"{path} {name}".strip()
        elif known[name] and not (equals or value) and left:
            left.pop(0)

    def _below(self, path: str) -> frozenset[str]:
        return frozenset(_COMMAND.findall(_help(self._program, path)))

    def _options(self, path: str) -> dict[str, bool]:
        """Each option, with whether a word follows it."""
        told = _help(self._program, path)
        found: dict[str, bool] = {}
        for short, long, value in (*_OF_KUBECTL.findall(told), *_OF_HELM.findall(told)):
            takes = value not in {"true", "false", ""}
            found |= {name: found.get(name, False) or takes for name in (short, long) if name}
        return found


@cache
def _help(program: str, path: str) -> str:
    command = [program, *path.split(), *(() if path == "options" else ("--help",))]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
