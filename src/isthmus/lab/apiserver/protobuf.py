"""Objects in Kubernetes' protobuf, which kubectl's generators and `auth can-i` send, as JSON.

An envelope (`k8s` and a zero byte, then `runtime.Unknown`) and the messages in `messages`. A field that
is not known there is refused rather than lost.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from isthmus.kit import date
from isthmus.lab.apiserver.messages import MESSAGES

Json = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_FIXED64 = 1


class Undecodable(ValueError):
    """Protobuf that is broken, or of a kind or with a field that is not known here."""


def decode(body: bytes) -> Json:
    """The object in `body` as JSON. Raises `Undecodable`."""
    if not body.startswith(MAGIC):
        raise Undecodable("not Kubernetes' protobuf: it does not begin with its four bytes")
    envelope = dict(_fields(body[len(MAGIC) :]))
    about = dict(_fields(_bytes(envelope.get(1, b""))))
    api_version, kind = (_text(about.get(number, b"")) for number in (1, 2))
    if kind not in MESSAGES:
        raise Undecodable(
            f"cannot read {kind or 'an unnamed kind'} in protobuf (hint: send application/json)"
        )
    return {"apiVersion": api_version, "kind": kind, **_message(kind, _bytes(envelope.get(2, b"")))}


def _message(name: str, data: bytes) -> Json:
    known = MESSAGES[name]
    found: Json = {}
    for number, value in _fields(data):
        if number not in known:
            if value:
                raise Undecodable(
                    f"cannot read field {number} of {name} in protobuf (hint: send application/json)"
                )
            continue
        field, _, kind = known[number].partition(" ")
        if field == "+":
            found |= _message(kind, _bytes(value))
        elif kind != "-":
            _set(found, field, kind or "string", value)
    return found


def _set(found: Json, field: str, kind: str, value: int | bytes) -> None:
    if kind.startswith("map"):
        entry = dict(_fields(_bytes(value)))
        key = _text(entry.get(1, b""))
        found.setdefault(field, {})[key] = _value(kind.partition(":")[2] or "string", entry.get(2, b""))
    elif kind.startswith("*"):
        found.setdefault(field, []).append(_value(kind[1:], value))
    else:
        plain = _value(kind.removesuffix("?"), value)
        # Go writes zero values of what is no pointer; in JSON it would leave them out.
        if plain or kind.endswith("?"):
            found[field] = plain


def _value(kind: str, value: int | bytes) -> Any:
    match kind:
        case "string":
            return _text(value)
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "bool":
            return bool(value)
        case "int":
            number = value if isinstance(value, int) else 0
            return number - (1 << 64) if number >> 63 else number
        case "time":
            seconds = dict(_fields(_bytes(value))).get(1)
            return date.show(float(seconds)) if isinstance(seconds, int) else None
        case "quantity":
            return _bytes(dict(_fields(_bytes(value))).get(1, b"")).decode()
        case "intOrString":
            parts = dict(_fields(_bytes(value)))
            return _text(parts.get(3, b"")) if parts.get(1) else parts.get(2, 0)
        case "list":
            return [_text(each) for _, each in _fields(_bytes(value))]
        case _:
            return _message(kind, _bytes(value))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field's number and value, in order."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        match wire:
            case 0:
                value, place = _varint(data, place)
                yield number, value
            case 2:
                length, place = _varint(data, place)
                if place + length > len(data):
                    raise Undecodable("protobuf ends in the middle of a field")
                yield number, data[place : place + length]
                place += length
            case 1 | 5:  # of fixed width
                width = 8 if wire == _FIXED64 else 4
                yield number, int.from_bytes(data[place : place + width], "little")
                place += width
            case _:
                raise Undecodable(f"protobuf with a field of wire type {wire}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    result = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, place
        shift += 7
    raise Undecodable("protobuf ends in the middle of a number")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Undecodable("protobuf has a number where bytes belong")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Undecodable("protobuf has bytes where text belongs") from error
