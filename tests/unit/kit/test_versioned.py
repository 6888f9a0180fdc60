from __future__ import annotations

from isthmus.kit.versioned import Versioned


def test_equal_bodies_have_equal_versions_whatever_their_names():
    assert Versioned.of("a", b"x").version == Versioned.of("b", b"x").version
    assert Versioned.of("a", b"x").version != Versioned.of("a", b"y").version
