from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.lab.apiserver.messages import MESSAGES
from isthmus.lab.apiserver.protobuf import MAGIC, Undecodable, decode


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value % (1 << 64))
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(kind, raw, api_version="v1"):
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_a_config_map_is_read():
    meta = (
        field(1, "prices") + field(3, "shop") + field(11, field(1, "app") + field(2, "web")) + field(8, b"")
    )
    data = field(2, field(1, "apple") + field(2, "1")) + field(3, field(1, "raw") + field(2, b"\x00"))
    assert decode(envelope("ConfigMap", field(1, meta) + data + field(4, 0))) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prices", "namespace": "shop", "labels": {"app": "web"}},
        "data": {"apple": "1"},
        "binaryData": {"raw": "AA=="},
        "immutable": False,
    }


def test_the_zero_of_what_is_no_pointer_is_left_out():
    port = field(1, "") + field(3, 80) + field(4, field(1, 0) + field(2, 8080) + field(3, "")) + field(5, 0)
    spec = field(1, port) + field(13, 0)
    assert decode(envelope("Service", field(2, spec)))["spec"] == {
        "ports": [{"port": 80, "targetPort": 8080}]
    }


def test_names_of_ports_and_quantities_are_read():
    port = field(3, 80) + field(4, field(1, 1) + field(3, "http"))
    assert decode(envelope("Service", field(2, field(1, port))))["spec"]["ports"][0]["targetPort"] == "http"
    hard = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    assert decode(envelope("ResourceQuota", field(2, hard)))["spec"]["hard"] == {"cpu": "500m"}


def test_an_inlined_message_is_part_of_its_owner():
    path = field(1, "/") + field(2, field(4, field(1, "web") + field(2, field(2, 80)))) + field(3, "Exact")
    rule = field(1, "x.example") + field(2, field(1, field(1, path)))
    spec = decode(envelope("Ingress", field(2, field(3, rule)), "networking.k8s.io/v1"))["spec"]
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "backend": backend, "pathType": "Exact"}]
    assert spec["rules"] == [{"host": "x.example", "http": {"paths": paths}}]


def test_lists_in_maps_and_negative_numbers_are_read():
    extra = field(1, "scopes") + field(2, field(1, "a") + field(1, "b"))
    said = decode(envelope("SubjectAccessReview", field(2, field(3, "joe") + field(5, extra))))
    assert said["spec"] == {"user": "joe", "extra": {"scopes": ["a", "b"]}}
    assert decode(envelope("DeleteOptions", field(1, -1)))["gracePeriodSeconds"] == -1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "four bytes"),
        (envelope("Volcano", b""), "cannot read Volcano"),
        (envelope("Namespace", field(9, "x")), "field 9 of Namespace"),
        (envelope("Namespace", field(1, "abc")[:-1]), "ends in the middle"),
        (envelope("Namespace", b"\xff"), "ends in the middle"),
        (envelope("Namespace", b"\x0b"), "wire type 3"),
        (envelope("Namespace", field(1, 7)), "a number where bytes belong"),
    ],
)
def test_what_cannot_be_read_is_refused_rather_than_lost(body, words):
    with pytest.raises(Undecodable, match=words):
        decode(body)


@given(st.binary(max_size=60), st.sampled_from(sorted(MESSAGES)))
def test_no_bytes_break_the_reader(raw, kind):
    with suppress(Undecodable):
        assert decode(envelope(kind, raw))["kind"] == kind


def test_every_message_that_is_named_is_there():
    scalars = {"", "string", "int", "bool", "bytes", "time", "quantity", "intOrString", "list", "-"}
    for fields in MESSAGES.values():
        for said in fields.values():
            form = (
                said.partition(" ")[2]
                .removeprefix("*")
                .removesuffix("?")
                .removeprefix("map")
                .removeprefix(":")
            )
            assert form in scalars or form in MESSAGES, said
