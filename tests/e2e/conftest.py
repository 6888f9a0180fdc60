"""One stretched mesh for all stories that a worker tells: two clusters, Pilot, Citadels, Bookinfo with real Envoys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from e2e.own_lab import APISERVER, own_lab
from e2e.workloads import remove
from fakes.kube_programs import skip_where_it_is_late
from isthmus.console.demo import chapters_build
from isthmus.console.demo.chapters_build import all_synced, out_of_sync
from isthmus.console.demo.page import Page
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.lab.probe import check_machine, lacks
from isthmus.lab.spec import TALK

Rules = Callable[..., Awaitable[None]]
BUILD = (
    chapters_build.clusters,
    chapters_build.one_root,
    chapters_build.control_plane,
    chapters_build.bookinfo,
    chapters_build.on_premises,
)


FIRST = (
    "test_install_guides.py",
    "test_guides.py",
    "echo/test_http.py",
    "test_failures.py",
    "test_membership.py",
    "test_canary.py",
    "test_without_a_vpn.py",
    "families/test_families.py",
    "test_two_meshes.py",
    "edge/test_guides.py",
    "test_demo.py",
    "test_tokens.py",
    "test_guide.py",
)
"""What takes long, each with its folder, so that workers end together. But for what changes roots: it comes late."""


class _ByStage(LoadScopeScheduling):
    """A file is told by one worker, from top to bottom; a folder too, for its files share what it puts on the stage."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return file if folder.endswith("e2e") else folder


@pytest.hookimpl(optionalhook=True)  # there is none where xdist is left out
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """In place of the one that `--dist` names."""
    return _ByStage(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    missing = lacks(check_machine()) if ours else ()
    for item in ours:
        item.add_marker(pytest.mark.lab)
        item.add_marker(pytest.mark.timeout(300))
        for each in missing:
            item.add_marker(pytest.mark.skip(reason=f"the lab needs {each.name}: {each.detail}"))
    items.sort(key=lambda item: _place(item.path, here))


def _place(path: Path, here: Path) -> int:
    """Where among all that is told a file comes: what is none of ours afterwards, as it was."""
    if here not in path.parents:
        return len(FIRST) + 1
    name = str(path.relative_to(here))
    return FIRST.index(name) if name in FIRST else len(FIRST)


@pytest.hookimpl(tryfirst=True)  # before a lab is brought up for it
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begins no story on upstream's API servers when it is late."""
    if os.environ.get(APISERVER) == "kube" and Path(__file__).parent in item.path.parents:
        skip_where_it_is_late()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The mesh, brought up once by each worker."""
    with own_lab(tmp_path_factory.mktemp("lab"), TALK, _build) as stage:
        yield stage


async def _build(stage: Stage) -> None:
    for chapter in BUILD:
        await chapter(stage)


@pytest.fixture
async def stage(built: Stage) -> AsyncIterator[Stage]:
    """The mesh as every story finds it: pages complete, all proxies in sync."""
    assert await built.steady(complete, times=3, limit_s=60), "the page is not complete before the story"
    assert await built.until(lambda: all_synced(built), 60), await out_of_sync(built)
    yield built


@pytest.fixture
async def rules(stage: Stage) -> AsyncIterator[Rules]:
    """Applies objects to the cluster of the configuration; after the story they are gone."""
    applied: list[dict[str, Any]] = []

    async def apply(*objects: dict[str, Any]) -> None:
        applied.extend(objects)
        await stage.kubectl(PUBLIC).apply(yaml.safe_dump_all(objects))

    yield apply
    await remove(stage, PUBLIC, applied)


def complete(page: Page) -> bool:
    """Accepts pages with reviews."""
    return page.complete
