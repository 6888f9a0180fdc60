"""What proxies are told by a generation, and whether Envoy takes it."""

from __future__ import annotations

from fakes.static_envoy import must_take
from isthmus.envoy.descriptors import class_of_url
from isthmus.envoy.rules import violations
from isthmus.translate.types import ENVOY_TYPES, TYPES


def told(generation, proxies):
    """All resources by name, of each proxy and type."""
    return {
        (proxy, type_url): {one.name: one for one in generation.resources(proxy, type_url, None)}
        for proxy in proxies
        for type_url in TYPES
    }


def differing(before, after):
    """The names of resources that are not the same in both."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def must_be_sound(generation, proxies, *, ask_envoy):
    """No name is there twice and no rule of Envoy is broken; and Envoy itself takes it, where it is asked."""
    for proxy in proxies:
        resources = {url: list(generation.resources(proxy, url, None)) for url in ENVOY_TYPES}
        for url, found in resources.items():
            names = [one.name for one in found]
            assert len(names) == len(set(names)), url
            for one in found:
                assert violations(class_of_url(url).FromString(one.body)) == [], one.name
        if ask_envoy:
            must_take(resources)
    assert all(found.message for found in generation.findings)
