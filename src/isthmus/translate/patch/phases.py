"""Where in a filter chain a plugin stands, by its phase; each only once.

Source: Istio's WasmPlugin reference. Phases follow each other: authentication, authorisation, statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.splice import Entries, M

PREFIX = "extenstions.istio.io/wasmplugin/"
"""Of the names of plugins' filters: how Istio spells it, and what dashboards look for."""
_AUTHENTICATION = frozenset({"jwt_authn"})
_SECURITY = _AUTHENTICATION | {"rbac", "ext_authz"}
_AFTER: dict[str, frozenset[str]] = {"AUTHN": frozenset(), "AUTHZ": _AUTHENTICATION}


def insert_plugin(filters: Entries[M], patch: Patch) -> bool:
    """Put a plugin's filter in its place, unless it is there; whether it is there now."""
    value = patch.value
    if value is None:
        return False
    names = [_name(filters[index]) for index in range(len(filters))]
    if _name(value) not in names:
        filters.insert(_place(names, _AFTER.get(patch.phase, _SECURITY)), value)  # type: ignore[arg-type]
    return True


def _place(names: Sequence[str], before: frozenset[str]) -> int:
    """After the plugins that stand there, and after what comes before the phase."""
    last = 0
    for index, name in enumerate(names):
        if name.startswith(PREFIX):
            last = index + 1 if last == index else last
        elif name.rpartition(".")[2] in before:
            last = index + 1
    return last


def _name(message: Message) -> str:
    return str(getattr(message, "name", ""))
