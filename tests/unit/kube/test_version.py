from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from fakes.eventually import eventually
from fakes.scripted_api import ScriptedApi, refuses, says
from isthmus.discovery.cluster_versions import ClusterVersions
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.clock import ManualClock
from isthmus.kube.client import Client
from isthmus.kube.errors import Unreachable
from isthmus.kube.version import server_version, server_versions


def is_of(version):
    return says({"gitVersion": version})


async def test_what_is_no_version_is_no_answer():
    async with ScriptedApi(says(["1.33"])).serving() as api, Client(api.access()) as client:
        with pytest.raises(Unreachable, match="/version of http"):
            await server_version(client)


class Hasty(ManualClock):
    """It does not wait; it notes how long it would have."""

    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


async def test_a_version_is_told_once_it_is_known_and_again_when_it_changes():
    away, broken = refuses(503, "ServiceUnavailable"), refuses(500, "InternalError")
    api = ScriptedApi(away, is_of("v1.32.1"), is_of("v1.32.1"), broken, is_of("v1.33.0"))
    clock = Hasty()
    async with (
        api.serving(),
        Client(api.access()) as client,
        aclosing(server_versions(client, clock)) as found,
    ):
        assert [await anext(found), await anext(found)] == ["v1.32.1", "v1.33.0"]
    assert clock.slept == [5, 60, 60, 60]
    assert {each.path for each in api.asked} == {"/version"}


async def test_the_version_of_a_cluster_is_known_while_it_is_followed():
    api = ScriptedApi(is_of("v1.33.0"))
    async with api.serving(), Client(api.access()) as client:
        versions = ClusterVersions(ManualClock())
        assert versions.of("west") == ""
        spec = ClusterSpec(id="west", access=api.access(), source="test")
        following = asyncio.create_task(versions.follow(spec, client))
        await eventually(lambda: asyncio.sleep(0, versions.of("west") == "v1.33.0"))
        assert versions.of("east") == ""
        following.cancel()
        await asyncio.wait([following])
        assert versions.of("west") == ""
