"""The name table on the wire."""

from __future__ import annotations

from isthmus.kit.protobuf import field
from isthmus.model.name_table import Named, NameTable, alias, decode, entry


def test_a_table_is_read_as_it_was_written() -> None:
    service = Named(("10.0.0.1", "fd00::1"), "web", "default")
    outside = Named(("240.240.0.9",), "", "default")
    body = (
        entry("web.default.svc.cluster.local", service)
        + entry("db.example.com", outside)
        + alias("search.default.svc.cluster.local", "www.example.com")
    )
    assert decode(body) == NameTable(
        {"web.default.svc.cluster.local": service, "db.example.com": outside},
        {"search.default.svc.cluster.local": "www.example.com"},
    )


def test_the_wire_is_that_of_istios_name_table() -> None:
    info = field(1, b"10.0.0.1") + field(2, b"Kubernetes") + field(3, b"web") + field(4, b"ns")
    assert entry("web.ns.svc.cluster.local", Named(("10.0.0.1",), "web", "ns")) == field(
        1, field(1, b"web.ns.svc.cluster.local") + field(2, info)
    )


def test_fields_that_are_not_known_are_passed_by() -> None:
    info = field(1, b"10.0.0.1") + field(3, b"web") + field(4, b"ns") + field(9, 7)
    body = field(1, field(1, b"web.example") + field(2, info)) + field(7, b"later")
    assert decode(body).names == {"web.example": Named(("10.0.0.1",), "web", "ns")}
