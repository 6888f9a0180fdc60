"""Values for programs: JSON and YAML."""

from __future__ import annotations

import msgspec
import yaml


def show(value: object) -> str:
    """`value` as JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def show_yaml(value: object) -> str:
    """`value` as YAML."""
    tree = msgspec.to_builtins(value)
    made: str = yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, width=120, allow_unicode=True)
    return made.rstrip()
