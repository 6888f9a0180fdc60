"""Bytes of a server that is broken, or hostile: nested without end, or no text. Each reader names them as wrong."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind
from isthmus.ca import claims, denied
from isthmus.kit import spiffe_bundle
from isthmus.kube import client, errors, watch
from isthmus.kube.errors import KubeError
from isthmus.model import trust_bundles

CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)
DEEP = 50_000
BODIES = {
    "nested without end": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "lists without end": b"[" * DEEP,
    "no text": b'{"message": "\xff", "metadata": {"name": "\xff"}, "type": "\xff", "iss": "\xff", "own": ["\xff"]}',
    "nested, and wrong": b'{"metadata": 1, "a":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
}
READERS: dict[str, tuple[Callable[[bytes], object], type[Exception]]] = {
    "an object": (lambda body: decode(CONFIG_MAPS, body), InvalidConfig),
    "an answer": (client._json, KubeError),
    "an event": (watch._read, KubeError),
    "a trust bundle": (spiffe_bundle.read, spiffe_bundle.InvalidBundle),
    "bundles that Pilot told": (trust_bundles.decode, ValueError),
    "who is denied": (lambda body: denied.read(body.decode("latin-1")), ValueError),
}


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("reader", READERS)
def test_what_cannot_be_read_is_named_as_wrong(reader: str, what: str):
    read, error = READERS[reader]
    with pytest.raises(error):
        read(BODIES[what])


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_refusal_that_cannot_be_read_is_one_all_the_same(body: bytes):
    assert errors.refused(500, body).code == 500


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_token_whose_claims_cannot_be_read_is_none(body: bytes):
    assert claims.read(f"a.{base64.urlsafe_b64encode(body).decode()}.c") is None
