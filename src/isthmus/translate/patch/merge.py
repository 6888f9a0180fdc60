"""How the value of a MERGE is laid over what is there: protobuf's rules, with what people expect of them.

Source: Istio's EnvoyFilter reference ("proto merge semantics"). Other than protobuf's own merge, durations and
wrapped values are replaced whole, and messages packed in `Any` are merged inside where both are of one type.
"""

from __future__ import annotations

from typing import Protocol, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from isthmus.envoy.descriptors import class_of_url

_ANY = "google.protobuf.Any"
_SOCKET = "envoy.config.core.v3.TransportSocket"
_WHOLE = frozenset({"google.protobuf.Duration", "google.protobuf.Timestamp"}) | frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class _Packed(Protocol):
    """A google.protobuf.Any."""

    type_url: str
    value: bytes


def merge(target: Message, value: Message, *, replace_lists: bool) -> None:
    """Lay `value` over `target`. Raises `ValueError` where they hold packed messages of different types.

    Lists grow by the value's entries, or are replaced by them; entries of maps are replaced one by one.
    """
    for field, given in value.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _merge_map(target, field, value, replace_lists=replace_lists)
        elif field.is_repeated:
            if replace_lists:
                target.ClearField(field.name)
            getattr(target, field.name).extend(given)
        elif field.message_type is not None:
            _merge_message(target, field, given, replace_lists=replace_lists)
        else:
            setattr(target, field.name, given)


def _merge_message(target: Message, field: FieldDescriptor, value: Message, *, replace_lists: bool) -> None:
    kind, own = value.DESCRIPTOR.full_name, cast(Message, getattr(target, field.name))
    if kind in _WHOLE or not target.HasField(field.name) or (kind == _SOCKET and not _same_name(own, value)):
        own.CopyFrom(value)
    elif kind == _ANY:
        merge_packed(own, value, replace_lists=replace_lists)
    else:
        merge(own, value, replace_lists=replace_lists)


def _merge_map(target: Message, field: FieldDescriptor, value: Message, *, replace_lists: bool) -> None:
    own, given = getattr(target, field.name), getattr(value, field.name)
    entry = cast(Descriptor, field.message_type).fields_by_name["value"]
    for key in given:
        if entry.message_type is None:
            own[key] = given[key]
        elif key in own and entry.message_type.full_name == _ANY and own[key].type_url == given[key].type_url:
            merge_packed(own[key], given[key], replace_lists=replace_lists)
        else:
            own[key].CopyFrom(given[key])


def merge_packed(target: Message, value: Message, *, replace_lists: bool) -> None:
    """Lay one packed message over another of its type. Raises `ValueError` where the types differ."""
    own, given = cast(_Packed, target), cast(_Packed, value)
    if not own.type_url:
        target.CopyFrom(value)
        return
    if own.type_url.rpartition("/")[2] != given.type_url.rpartition("/")[2]:
        held, wanted = (one.type_url.rpartition("/")[2] for one in (own, given))
        raise ValueError(f"there is a {held}, and the value is a {wanted} (hint: REPLACE, or the same type)")
    type_ = class_of_url(own.type_url)
    try:
        message, laid = type_.FromString(own.value), type_.FromString(given.value)
    except DecodeError as error:
        raise ValueError(f"is no {own.type_url}") from error
    merge(message, laid, replace_lists=replace_lists)
    own.value = message.SerializeToString(deterministic=True)


def _same_name(one: Message, other: Message) -> bool:
    name = getattr(other, "name", "")
    return not name or getattr(one, "name", "") == name
