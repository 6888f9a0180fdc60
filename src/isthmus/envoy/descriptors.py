"""Envoy's descriptors in a pool of their own, read as far as they are asked for.

A private pool: other libraries register parts of Envoy's API in the default one, of other versions (ADR 0005).
"""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

from google.protobuf import message_factory
from google.protobuf.descriptor_database import DescriptorDatabase
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

FILE = Path(__file__).with_name("descriptors.binpb.xz")


@cache
def pool() -> DescriptorPool:
    """The pool of all that the Envoy executable knows.

    Raises `FileNotFoundError` with a hint where `tools/envoy_api.py` has not run yet.
    """
    if not FILE.exists():
        raise FileNotFoundError(f"{FILE.name} is not there (hint: run make setup, or tools/envoy_api.py)")
    database = DescriptorDatabase()
    for file in FileDescriptorSet.FromString(lzma.decompress(FILE.read_bytes())).file:
        database.Add(file)
    private = DescriptorPool(database)
    # Without this file the rules in the options of fields would stay unknown bytes.
    private.FindFileByName("validate/validate.proto")
    return private


@cache
def message_class(full_name: str) -> type[Message]:
    """The class of the message `full_name`. Raises `KeyError` where Envoy has none."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(full_name))


def class_of_url(type_url: str) -> type[Message]:
    """The class of a packed message. Raises `KeyError` where Envoy does not know it."""
    return message_class(type_url.rpartition("/")[2])
