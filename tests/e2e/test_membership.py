"""A cluster that was never of the mesh joins it, is read by another credential, leaves, and dies, while people look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from e2e.conftest import BUILD, complete
from e2e.mesh_views import clusters_list, clusters_of_reviews
from e2e.own_lab import own_lab
from e2e.visits import visits
from isthmus.console.control_plane import access_to
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.injection import inject_file
from isthmus.console.lab_process import samples_folder
from isthmus.console.membership.entries import DirectoryEntries
from isthmus.console.membership.join import Joining, join
from isthmus.console.membership.leave import Leaving, leave
from isthmus.console.membership.mesh import Member, Places, Primary, primaries
from isthmus.console.membership.rotate import rotate
from isthmus.console.membership.told import State, Steps, Told
from isthmus.kube.client import Client
from isthmus.lab.spec import read_spec

pytestmark = pytest.mark.kube
EDGE = "edge"
ROOT = "istio-system"
ENDPOINT = "istio-pilot.istio-system:15012"
BEFORE, ALL = {PUBLIC, PRIVATE}, {PUBLIC, PRIVATE, EDGE}


class Newcomer(NamedTuple):
    """The third cluster, and the one that Pilot runs in."""

    stage: Stage
    member: Member
    of: tuple[Primary, ...]

    async def join(self) -> dict[str, Told]:
        joining = Joining(ca=self.stage.lab.folder / "ca", life_s=86_400.0)
        return await told(join(joining, self.member, self.of))

    async def leave(self) -> dict[str, Told]:
        return await told(leave(Leaving(), self.member, self.of))

    async def is_called(self, clusters: set[str]) -> bool:
        """Whether callers of reviews know endpoints in these clusters, and in no others, within a while."""

        async def so() -> bool:
            return await clusters_of_reviews(self.stage) == clusters

        return await self.stage.until(so, 90)

    async def brings_reviews(self) -> None:
        """Run reviews there, as the talk does on premises."""
        files = self.stage.samples / "bookinfo" / "kube"
        kubectl = self.stage.kubectl(EDGE)
        access = access_to(self.stage.lab.kubeconfig(EDGE), None)
        await kubectl.run("apply", "-f", str(files / "ratings-svc.yaml"))
        await kubectl.apply(await inject_file(files / "reviews-v3.yaml", access))


async def told(steps: Steps) -> dict[str, Told]:
    return {each.step: each async for each in steps}


def done(found: dict[str, Told]) -> set[str]:
    return {step for step, each in found.items() if each.state is State.DONE}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The mesh of two clusters, beside which there is a third."""

    async def build(stage: Stage) -> None:
        for chapter in BUILD:
            await chapter(stage)

    spec = read_spec(samples_folder() / "lab" / "three-clusters.yaml")
    with own_lab(tmp_path_factory.mktemp("three"), spec, build) as stage:
        yield stage


@asynccontextmanager
async def reached(stage: Stage) -> AsyncIterator[Newcomer]:
    entries = DirectoryEntries(stage.lab.folder / "registry", EDGE, ENDPOINT)
    here = primaries(Places(stage.lab.kubeconfig(PUBLIC), [""], ROOT), lambda _: (entries, False))
    async with Client(access_to(stage.lab.kubeconfig(EDGE), None)) as client, here as of:
        yield Newcomer(stage, Member(EDGE, EDGE, client, ROOT), of)


@pytest.fixture
async def newcomer(three: Stage) -> AsyncIterator[Newcomer]:
    assert await three.steady(complete, times=3, limit_s=60), "the page is not complete before the story"
    async with reached(three) as made:
        yield made


async def test_a_third_cluster_joins_is_rotated_dies_and_leaves_while_people_look(newcomer: Newcomer) -> None:
    lab = newcomer.stage.lab
    assert EDGE not in await clusters_list(newcomer.stage)
    async with visits(newcomer.stage) as pages:
        joined = await newcomer.join()
        assert done(joined) >= {"namespace", "root", "parts", "entry", "ready"}, joined
        assert joined["follow"].state is State.AS_IT_WAS, joined["follow"]
        assert "things are well" in joined["check"].seen
        await newcomer.brings_reviews()
        assert await newcomer.is_called(ALL)
        assert not done(await newcomer.join())

        rotated = await told(rotate(newcomer.member, newcomer.of, 86_400.0, 60.0))
        assert rotated["revoke"].state is State.DONE
        said = (await clusters_list(newcomer.stage))[EDGE]
        assert (said["state"], said["access"]["renews"] is not None) == ("synced", True)
        assert said["access"]["bound_to"].startswith("Secret istio-reader-access-")
        assert await newcomer.is_called(ALL)

        await lab.ask("POST", f"/apiserver/{EDGE}/stop")
        try:
            left = await newcomer.leave()
            assert (left["entry"].state, left["drain"].state) == (State.DONE, State.AS_IT_WAS), left
            assert left["parts"].state is State.LEFT
            assert left["parts"].mend.startswith(f"isthmus clusters leave {EDGE} --context {EDGE}")
            assert await newcomer.is_called(BEFORE)
            assert EDGE not in await clusters_list(newcomer.stage)
        finally:
            await lab.ask("POST", f"/apiserver/{EDGE}/start")
        rest = await newcomer.leave()
        assert done(rest) >= {"revoke", "parts", "root"}, rest
        assert not done(await newcomer.leave())
    assert all(page.complete for page in pages)
