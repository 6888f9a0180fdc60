"""Manifests that people give to commands: files, folders, standard input; and the objects that are written in them."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from isthmus.api.errors import InvalidConfig
from isthmus.api.not_yaml import NotYaml
from isthmus.api.yaml import Document, Twice, readable
from isthmus.console.drawn_pods import Tree
from isthmus.console.yaml_places import Place


class Written(NamedTuple):
    """An object as somebody wrote it."""

    place: Place
    value: Tree


@dataclass(frozen=True)
class Manifest:
    """A text of manifests, by what it is shown, and in which cluster; empty: that of the configuration."""

    name: str
    text: str
    cluster: str = ""
    no_text: NotYaml | None = None  # in place of a text that is none

    @cached_property
    def _read(self) -> tuple[Document | NotYaml, ...]:
        return tuple(readable(self.text)) if self.no_text is None else (self.no_text,)

    @property
    def wrong(self) -> Iterator[NotYaml]:
        """What is wrong with the documents that are no YAML."""
        return (each for each in self._read if isinstance(each, NotYaml))

    @property
    def twice(self) -> Iterator[tuple[Document, Twice]]:
        """The keys that stand twice in a mapping."""
        for each in self._read:
            if isinstance(each, Document):
                yield from ((each, one) for one in each.twice)

    @cached_property
    def objects(self) -> tuple[Written, ...]:
        """The objects of the documents that can be read, those of lists one by one."""
        return tuple(one for each in self._read if isinstance(each, Document) for one in self._objects(each))

    def _objects(self, document: Document) -> Iterator[Written]:
        place, value = Place(self.name, self.text, document.line), document.value
        if not isinstance(value, dict):
            return
        several = value.get("items") if str(value.get("kind", "")).endswith("List") else None
        if not isinstance(several, list):
            yield Written(place, value)
            return
        for index, each in enumerate(several):
            if isinstance(each, dict):
                yield Written(place._replace(within=f"items[{index}]"), each)


def read_manifests(names: Iterable[str]) -> list[Manifest]:
    """The manifests that `names` mean: `PATH` or `CLUSTER=PATH`, a folder standing for all YAML in it.

    Raises `InvalidConfig` where there is nothing at a path.
    """
    found = []
    for name in names:
        cluster, _, path = name.rpartition("=")
        place = Path(path)
        if not place.exists():
            raise InvalidConfig(name, "there is no such file (hint: PATH, or CLUSTER=PATH)")
        files = (
            sorted(p for p in place.rglob("*") if p.suffix in {".yaml", ".yml"})
            if place.is_dir()
            else [place]
        )
        if not files:
            raise InvalidConfig(name, "there is no YAML in this folder (hint: *.yaml, *.yml)")
        found += [_manifest(str(file), _content(file), cluster) for file in files]
    return found


def given_manifests(names: Iterable[str]) -> list[Manifest]:
    """As `read_manifests`, with what comes by standard input where `-` is among the names."""
    found, others = [], []
    for name in names:
        if name == "-":
            found.append(_manifest("stdin", sys.stdin.buffer.read()))
        else:
            others.append(name)
    return [*found, *read_manifests(others)]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidConfig(str(file), f"cannot be read: {error.strerror or error}") from error


def _manifest(name: str, raw: bytes, cluster: str = "") -> Manifest:
    """A text: UTF-16 where its mark begins it, as Windows writes it, else UTF-8. Lines end as they do here."""
    is_utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        said = "is not YAML: it is no UTF-8 (hint: save it as such; if it is a text at all)"
        return Manifest(name, "", cluster, NotYaml(line, said))
    return Manifest(name, text.replace("\r\n", "\n").replace("\r", "\n"), cluster)
