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

    @cached_property
    def _read(self) -> tuple[Document | NotYaml, ...]:
        return tuple(readable(self.text))

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
        found += [Manifest(str(file), _text_of(file), cluster) for file in files]
    return found


def given_manifests(names: Iterable[str]) -> list[Manifest]:
    """As `read_manifests`, with what comes by standard input where `-` is among the names."""
    found, others = [], []
    for name in names:
        if name == "-":
            found.append(Manifest("stdin", as_text(sys.stdin.buffer.read())))
        else:
            others.append(name)
    return [*found, *read_manifests(others)]


def _text_of(file: Path) -> str:
    try:
        return as_text(file.read_bytes())
    except OSError as error:
        raise InvalidConfig(str(file), f"cannot be read: {error.strerror or error}") from error


def as_text(raw: bytes) -> str:
    """YAML's text: UTF-16 where its mark begins it, as Windows writes it, else UTF-8; what is neither stays no YAML."""
    is_utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if is_utf_16 else "utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")
