"""Values written in YAML as people do: any style, quotes, comments, indentation, anchors."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9/._-]*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
_COMMENTS = ("", "", "", "", "  # why", " # a: b", "   #")
_LINES = ("", "", "", "", "# a line", "\n", "        # far right")


class Writer:
    """Writes one document; `pick` draws one of several."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw
        self._anchors = 0
        self._meant: list[tuple[str, Any]] = []

    def pick(self, several: tuple[Any, ...]) -> Any:
        return self._draw(st.sampled_from(several))

    def document(self, value: Any) -> str:
        """The text; it ends with a line's end, mostly."""
        if self.pick((False,) * 9 + (True,)):
            return json.dumps(value, indent=self.pick((None, 2)), ensure_ascii=False) + "\n"
        text = "".join(self._mapping(value, 0))
        text = text.removesuffix("\n") if self.pick((False,) * 5 + (True,)) else text
        return text.replace("\n", "\r\n") if self.pick((False,) * 7 + (True,)) else text

    def _mapping(self, value: dict[str, Any], column: int) -> list[str]:
        lines: list[str] = []
        for key, each in value.items():
            lines += self._entry(self._scalar(key, is_key=True), each, column)
        return lines

    def _entry(self, key: str, value: Any, column: int) -> list[str]:
        head, pad = f"{key}:", " " * column
        lines = [f"{line}\n" if line.strip() else line for line in [self.pick(_LINES)] if line]
        inline = self._inline(value)
        if inline is not None:
            return [*lines, f"{pad}{head} {inline}{self.pick(_COMMENTS)}\n"]
        lines.append(f"{pad}{head}{self._anchor(value)}{self.pick(_COMMENTS)}\n")
        if isinstance(value, dict):
            return lines + self._mapping(value, column + self.pick((2, 2, 4)))
        return lines + self._sequence(value, column + self.pick((0, 2)))

    def _sequence(self, value: list[Any], column: int) -> list[str]:
        lines: list[str] = []
        for each in value:
            inline = self._inline(each)
            if inline is not None or not isinstance(each, dict):
                lines.append(f"{' ' * column}- {inline or self._flow(each)}{self.pick(_COMMENTS)}\n")
                continue
            within = self._mapping(each, column + 2)
            first = next(index for index, line in enumerate(within) if line.strip()[:1] not in {"", "#"})
            within[first] = f"{' ' * column}- {within[first].lstrip()}"
            lines += within
        return lines

    def _inline(self, value: Any) -> str | None:
        """On the line itself: a scalar, what was written before, or all of it in flow style."""
        for name, meant in self._meant:
            if meant == value and self.pick((True, False, False)):
                return f"*{name}"
        if isinstance(value, dict | list) and value and self.pick((True, True, True, False)):
            return None
        if isinstance(value, dict | list):
            return self._flow(value)
        if isinstance(value, str) and self.pick((False,) * 14 + (True,)):
            self._anchors += 1
            self._meant.append((f"a{self._anchors}", value))
            return f"&a{self._anchors} {self._scalar(value)}"
        return self._scalar(value)

    def _anchor(self, value: Any) -> str:
        """On a collection now and then, and mostly never used again."""
        if self.pick((False,) * 14 + (True,)):
            self._anchors += 1
            if self.pick((False, True)):
                self._meant.append((f"a{self._anchors}", value))
            return f" &a{self._anchors}"
        return ""

    def _flow(self, value: Any) -> str:
        gap = self.pick(("", " "))
        if isinstance(value, dict):
            entries = [f"{self._scalar(key, is_key=True)}: {self._flow(each)}" for key, each in value.items()]
            return "{" + gap + ", ".join(entries) + gap + "}"
        if isinstance(value, list):
            return "[" + gap + ", ".join(map(self._flow, value)) + gap + "]"
        return self._scalar(value)

    def _scalar(self, value: Any, is_key: bool = False) -> str:
        if value is None:
            return str(self.pick(("null", "~")))
        if not isinstance(value, str):
            return json.dumps(value)
        forms = [json.dumps(value, ensure_ascii=False)]
        if "\n" not in value:
            forms.append("'" + value.replace("'", "''") + "'")
        if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
            forms += [value] * 4
        return str(self.pick(tuple(forms)))
