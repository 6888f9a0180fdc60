"""The names of enum values in Envoy's messages."""

from __future__ import annotations

from google.protobuf.message import Message


def enum_name(message: Message, field: str) -> str:
    """The name of the value that the enum `field` of `message` has."""
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    if kind is None:
        raise TypeError(f"{message.DESCRIPTOR.full_name}.{field} is no enum")
    return str(kind.values_by_number[getattr(message, field)].name)
