"""A cluster is read by another credential, leaves, and comes back, while people look at the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from e2e.mesh_views import clusters_list, clusters_of_reviews
from e2e.test_registry import visits
from isthmus.console.control_plane import access_to
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.membership.entries import DirectoryEntries
from isthmus.console.membership.join import Joining, join
from isthmus.console.membership.leave import Leaving, leave
from isthmus.console.membership.mesh import Member, Places, Primary, primaries
from isthmus.console.membership.rotate import rotate
from isthmus.console.membership.told import State, Steps
from isthmus.kube.client import Client

ROOT = "istio-system"
ENDPOINT = "istio-pilot.istio-system:15012"
ALL, ONE = {PUBLIC, PRIVATE}, {PUBLIC}


class Both(NamedTuple):
    """The private cluster, and the one that Pilot runs in."""

    stage: Stage
    member: Member
    of: tuple[Primary, ...]

    async def join(self) -> dict[str, State]:
        return await states(join(Joining(keeps_parts=True, life_s=86_400.0), self.member, self.of))

    async def knows(self, clusters: set[str]) -> bool:
        return await clusters_of_reviews(self.stage) == clusters


async def states(steps: Steps) -> dict[str, State]:
    return {each.step: each.state async for each in steps}


@asynccontextmanager
async def reached(stage: Stage) -> AsyncIterator[Both]:
    directory = stage.lab.folder / "registry"
    entries = DirectoryEntries(directory, PRIVATE, ENDPOINT)
    there = access_to(stage.lab.kubeconfig(PRIVATE), None)
    here = primaries(Places(stage.lab.kubeconfig(PUBLIC), [""], ROOT), lambda _: (entries, False))
    async with Client(there) as client, here as of:
        yield Both(stage, Member(PRIVATE, PRIVATE, client, ROOT), of)


@pytest.fixture
async def both(stage: Stage) -> AsyncIterator[Both]:
    """After the story the private cluster is of the mesh, whatever the story did."""
    async with reached(stage) as made:
        yield made
        await made.join()
        assert await stage.until(lambda: made.knows(ALL), 45)


async def test_a_credential_is_rotated_while_people_look_and_the_old_one_ends(both: Both) -> None:
    await both.join()
    async with visits(both.stage) as pages:
        told = await states(rotate(both.member, both.of, 86_400.0, 60.0))
        after = len(pages)
        assert await both.stage.until(lambda: more(pages, after + 5), 30)
    assert told["revoke"] is State.DONE
    assert all(page.complete for page in pages)
    assert await both.knows(ALL)
    said = (await clusters_list(both.stage))[PRIVATE]
    assert said["state"] == "synced"
    assert said["access"]["bound_to"].startswith("Secret istio-reader-access-")
    assert said["access"]["renews"] is not None


async def more(pages: list[object], than: int) -> bool:
    return len(pages) > than


@pytest.mark.parametrize("is_dead", [False, True], ids=["well", "dead"])
async def test_a_cluster_leaves_and_comes_back_while_people_look(both: Both, is_dead: bool) -> None:
    async with visits(both.stage) as pages:
        told = await states(leave(Leaving(keeps_parts=True, is_dead=is_dead), both.member, both.of))
        assert told["entry"] is State.DONE
        assert told["drain"] is State.AS_IT_WAS
        assert told["parts"] is (State.LEFT if is_dead else State.AS_IT_WAS)
        assert await both.stage.until(lambda: both.knows(ONE), 20)
        assert PRIVATE not in await clusters_list(both.stage)
        again = await both.join()
        assert (again["entry"], again["follow"]) == (State.DONE, State.AS_IT_WAS)
        assert await both.stage.until(lambda: both.knows(ALL), 45)
    assert all(page.complete for page in pages)
