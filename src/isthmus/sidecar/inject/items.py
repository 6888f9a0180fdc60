"""Which items of a list are the same ones before and after a change, and which of them stay where they are."""

from __future__ import annotations

import json
from difflib import SequenceMatcher


def item_name(value: object) -> str:
    """By what an item is known to be the same: its name, of an object of Kubernetes also its kind."""
    if isinstance(value, dict):
        meta = value.get("metadata")
        named = [value.get("name"), meta.get("name") if isinstance(meta, dict) else None]
        names = [each for each in named if isinstance(each, str)]
        if names:
            return f"{value['kind']} {names[-1]}" if "kind" in value else names[0]
    return f"\0{json.dumps(value, sort_keys=True, default=str)}"


def staying(olds: dict[str, object], news: dict[str, object]) -> frozenset[str]:
    """Which items stay where they are: as many as can, and of two that changed places the one that changed less."""
    found = [_in_common([*olds], [*news]), _in_common([*olds][::-1], [*news][::-1])]
    return min(found, key=lambda names: sum(_differ(olds[each], news[each]) for each in names))


def _in_common(olds: list[str], news: list[str]) -> frozenset[str]:
    blocks = SequenceMatcher(None, olds, news, autojunk=False).get_matching_blocks()
    return frozenset(name for each in blocks for name in olds[each.a : each.a + each.size])


def _differ(one: object, other: object) -> int:
    return abs(len(str(one)) - len(str(other)))
