"""The manifests that `isthmus install` prints: YAML with `${name}` where the installation decides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from string import Template
from typing import Any

import msgspec
import yaml


def filled(name: str, values: Mapping[str, str]) -> list[Any]:
    """The objects of a file, with what `values` say in their places."""
    found: list[Any] = msgspec.json.decode(_read(_file(name).substitute(values)))
    return found


def read(text: str) -> Any:
    """What a text of YAML in a manifest says."""
    (found,) = msgspec.json.decode(_read(text))
    return found


@cache
def _file(name: str) -> Template:
    return Template((resources.files(__name__) / f"{name}.yaml").read_text())


@lru_cache(256)
def _read(text: str) -> bytes:
    """The documents of a text of YAML as JSON, of which each reader makes objects of its own in no time."""
    return msgspec.json.encode(list(yaml.load_all(text, Loader=yaml.CSafeLoader)))
