"""The streams of a proxy, as those who look see them."""

from __future__ import annotations

from types import SimpleNamespace

from isthmus.debug.streams import by_proxy


def stream(proxy, version, number):
    return SimpleNamespace(node=SimpleNamespace(id=proxy, version=version), number=number)


def test_a_proxy_has_the_version_of_its_envoy_also_where_its_agent_was_back_first():
    came = [stream("a", "", 1), stream("b", "1.40.0", 2), stream("a", "1.40.0", 3), stream("a", "1.40.0", 4)]
    found = by_proxy(SimpleNamespace(sessions=came))
    assert {name: [each.number for each in streams] for name, streams in found.items()} == {
        "a": [3, 4, 1],
        "b": [2],
    }
