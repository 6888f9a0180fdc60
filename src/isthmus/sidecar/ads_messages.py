"""The messages by which an agent talks delta ADS, as values, read and written field by field as those of SDS are.

Source: envoy/service/discovery/v3/discovery.proto, envoy/config/core/v3/base.proto (Node), struct.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from isthmus.kit.protobuf import field, fields

DELTA_PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

_NODE, _TYPE_URL, _SUBSCRIBE, _INITIAL, _NONCE, _ERROR = 1, 2, 3, 5, 6, 7
_RESOURCES, _ANSWER_TYPE_URL, _ANSWER_NONCE = 2, 4, 5
_RESOURCE_VERSION, _RESOURCE_BODY, _RESOURCE_NAME, _ANY_VALUE = 1, 2, 3, 2
_STATUS_CODE, _STATUS_MESSAGE, _INVALID_ARGUMENT = 1, 2, 3
_NODE_ID, _NODE_METADATA, _NODE_LOCALITY = 1, 3, 4
_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 1, 2, 3, 4, 5, 6
_KEY, _VALUE = 1, 2
_FIXED64 = 1


class Resource(NamedTuple):
    """A resource that Pilot tells."""

    name: str
    version: str
    body: bytes


class Answer(NamedTuple):
    """What Pilot says in one answer."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]


def node(id_: str, metadata: Mapping[str, object], locality: tuple[str, str, str]) -> bytes:
    """Who asks, in the form of Envoy's Node."""
    place = b"".join(field(number, part.encode()) for number, part in enumerate(locality, 1) if part)
    return (
        field(_NODE_ID, id_.encode())
        + field(_NODE_METADATA, _struct(metadata))
        + (field(_NODE_LOCALITY, place) if place else b"")
    )


def asked_by(who: bytes) -> bytes:
    """What stands before the first request of a stream: the node that asks."""
    return field(_NODE, who)


def subscription(type_url: str, names: Iterable[str], versions: Mapping[str, str]) -> bytes:
    """The request for these resources, of which some are there already."""
    return (
        field(_TYPE_URL, type_url.encode())
        + b"".join(field(_SUBSCRIBE, each.encode()) for each in names)
        + b"".join(field(_INITIAL, _entry(name, version.encode())) for name, version in versions.items())
    )


def reply(answer: Answer, reason: str | None) -> bytes:
    """The request that accepts an answer, or says why it is not."""
    made = field(_TYPE_URL, answer.type_url.encode())
    made += field(_NONCE, answer.nonce.encode()) if answer.nonce else b""
    if reason is None:
        return made
    status = field(_STATUS_CODE, _INVALID_ARGUMENT) + field(_STATUS_MESSAGE, reason.encode())
    return made + field(_ERROR, status)


def report(type_url: str, reason: str) -> bytes:
    """The request by which something is said of the asker itself, with why it is not well; empty: it is."""
    return reply(Answer(type_url, "", ()), reason or None)


def read_answer(message: bytes) -> Answer:
    """A DeltaDiscoveryResponse. Raises `ValueError`."""
    type_url = nonce = ""
    resources = []
    for number, value in fields(message):
        if not isinstance(value, bytes):
            continue
        if number == _ANSWER_TYPE_URL:
            type_url = value.decode()
        elif number == _ANSWER_NONCE:
            nonce = value.decode()
        elif number == _RESOURCES:
            resources.append(_resource(value))
    return Answer(type_url, nonce, tuple(resources))


def answer_of(resources: Iterable[Resource]) -> bytes:
    """An answer that has these."""
    return b"".join(
        field(
            _RESOURCES,
            field(_RESOURCE_NAME, one.name.encode())
            + field(_RESOURCE_VERSION, one.version.encode())
            + field(_RESOURCE_BODY, field(_ANY_VALUE, one.body)),
        )
        for one in resources
    )


def _resource(body: bytes) -> Resource:
    found = dict(_parts(body))
    packed = dict(_parts(found.get(_RESOURCE_BODY, b"")))
    name, version = found.get(_RESOURCE_NAME, b""), found.get(_RESOURCE_VERSION, b"")
    return Resource(name.decode(), version.decode(), packed.get(_ANY_VALUE, b""))


def _parts(body: bytes) -> Iterable[tuple[int, bytes]]:
    return ((number, value) for number, value in fields(body) if isinstance(value, bytes))


def _struct(values: Mapping[str, object]) -> bytes:
    return b"".join(field(1, _entry(str(key), _value(value))) for key, value in values.items())


def _entry(key: str, value: bytes) -> bytes:
    return field(_KEY, key.encode()) + field(_VALUE, value)


def _value(value: object) -> bytes:
    match value:
        case bool():
            return field(_BOOL, int(value))
        case int() | float():
            return bytes((_NUMBER << 3 | _FIXED64,)) + struct.pack("<d", float(value))
        case str():
            return field(_STRING, value.encode())
        case dict():
            return field(_STRUCT, _struct(value))
        case list() | tuple():
            return field(_LIST, b"".join(field(1, _value(each)) for each in value))
        case _:
            return field(_NULL, 0)
