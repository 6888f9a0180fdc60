"""The manifests that `isthmus install` prints: YAML with `${name}` where the installation decides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

import yaml


def filled(name: str, values: Mapping[str, str]) -> list[Any]:
    """The objects of a file, with what `values` say in their places."""
    text = (resources.files(__name__) / f"{name}.yaml").read_text()
    return list(yaml.load_all(Template(text).substitute(values), Loader=yaml.CSafeLoader))
