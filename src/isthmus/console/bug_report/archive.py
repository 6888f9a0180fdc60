"""The archive: files that are put in, each cut to a size, redacted, until the whole is full."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import msgspec

from isthmus.console.bug_report.redacted_text import redact_text
from isthmus.console.bug_report.redaction import redact
from isthmus.console.shown import show_yaml
from isthmus.kit.unreadable import UNREADABLE

_CUT = "\n<cut: {} of {} bytes are shown>\n"


class Archive:
    """A tar.gz that never holds more than it may; what did not fit, or could not be had, is said in `README.txt`.

    Threads may put in files at once.
    """

    def __init__(self, path: Path, *, limit_bytes: int, file_limit_bytes: int) -> None:
        self._path, self._left, self._file_limit = path, limit_bytes, file_limit_bytes
        self._began = int(time.time())
        self._files: dict[str, bytes] = {}
        self._putting = threading.Lock()
        self.notes: list[str] = []

    def tree(self, name: str, value: Any) -> None:
        """Put in a document, as YAML."""
        self._put(name, show_yaml(redact(value)))

    def text(self, name: str, said: bytes | str, *, is_json: bool = False) -> None:
        """Put in what somebody said: JSON as such where it is some, else text."""
        text = said if isinstance(said, str) else said.decode(errors="replace")
        if is_json:
            try:
                tree = redact(msgspec.json.decode(text))
            except UNREADABLE:
                pass
            else:
                self._put(name, msgspec.json.format(msgspec.json.encode(tree), indent=1).decode())
                return
        self._put(name, redact_text(text))

    def note(self, what: str) -> None:
        """Say that something is not in it, and why."""
        self.notes.append(redact_text(what))

    def write(self, head: str) -> int:
        """Writes the file, readable by its owner alone; how many files are in it. Raises `OSError`."""
        missing = "\n".join(f"- {each}" for each in sorted(self.notes)) or "- nothing"
        readme = f"{head}\n\nNot in it:\n{missing}\n"
        files = {"README.txt": redact_text(readme).encode(), **self._files}
        with open(self._path, "xb", opener=_for_owner) as out:
            try:
                self._write(out, files)
            except OSError:
                self._path.unlink()  # half of it is of no use
                raise
        return len(files)

    def _write(self, out: IO[bytes], files: dict[str, bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for name in sorted(files):
                entry = tarfile.TarInfo(f"bug-report/{name}")
                entry.size, entry.mtime, entry.mode = len(files[name]), self._began, 0o600
                tar.addfile(entry, io.BytesIO(files[name]))

    def _put(self, name: str, text: str) -> None:
        said = text.encode()
        if len(said) > self._file_limit:
            # The end of a log is what happened last; of other files the beginning says what they are.
            part = said[-self._file_limit :] if name.endswith(".log") else said[: self._file_limit]
            said = part + _CUT.format(len(part), len(said)).encode()
        with self._putting:
            if len(said) > self._left:
                self.note(f"{name}: there was no room left for its {len(said)} bytes (hint: --max-size)")
                return
            self._left -= len(said)
            self._files[name] = said


def must_be_new(path: Path) -> None:
    """Raises `OSError` where the file could not be written, before anybody is asked for minutes."""
    open(path, "xb", opener=_for_owner).close()
    path.unlink()


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
