"""Envoy's message classes by short name: `from isthmus.envoy.types import Cluster`.

Each is made when it is first asked for. For the type checker, `tools/envoy_api.py` writes `types.pyi`.
"""

from __future__ import annotations

from google.protobuf.message import Message

from isthmus.envoy.descriptors import message_class
from isthmus.envoy.names import NAMES


def __getattr__(name: str) -> type[Message]:
    full_name = NAMES.get(name)
    if full_name is None:
        raise AttributeError(f"no message {name!r} (hint: add it to isthmus/envoy/names.py)")
    found = globals()[name] = message_class(full_name)
    return found


def __dir__() -> list[str]:
    return sorted(NAMES)
