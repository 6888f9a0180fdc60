"""Being here puts `tests/` on the path, so that tests can say `from fakes...`.

Properties run under one profile: how long a machine under load takes to draw an example proves nothing.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from _pytest.terminal import getreportopt
from hypothesis import HealthCheck, settings

from fakes.api_servers import CHOICE, KubeClusters
from fakes.kube_programs import ASSETS, kube_programs, skip_where_it_is_late
from isthmus.kit import garbage
from isthmus.kit.scopes import SCOPES
from isthmus.wire import serve
from isthmus.wire.serve import Wire

_TELLS_SKIPS = pytest.StashKey[bool]()

ASKED = ("kube", "helm")
"""The marks of tests that ask upstream's API servers, and Helm."""
ASKING = ("api_server", *(f"mark.{name}" for name in ASKED))
"""The words by which tests have those marks: the fixture's name, and the marks themselves."""
LONG = (
    "test_distribution.py",
    "test_short_run.py",
    "test_installing.py",
    "test_membership.py",
    "test_world.py",
)
"""Of files without stories those that take longest: begun first, or one worker is at them when others are done."""
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Where nft and ip are: the PATH of an ordinary user does not lead there.
os.environ["PATH"] += ":/usr/sbin:/sbin"

# What is written in Go may take memory: collecting garbage seldom, API servers cost a quarter less.
os.environ.setdefault("GOGC", "400")

# Who starts the tests in the background may have told them to ignore Ctrl-C, and programs that they start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=Wire, ids=lambda each: each.value)
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """By what gRPC is served in this test: each implementation in turn."""
    monkeypatch.setattr(serve, "DEFAULT", request.param)
    return request.param


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Commands that run in our process set up its logs, which later tests must not find changed."""
    yield
    structlog.reset_defaults()
    for each in SCOPES.values():
        each.level = "info"


def pytest_configure(config: pytest.Config) -> None:
    """Reasons of skips are told by `pytest_terminal_summary`, in place of a line for each place."""
    shown = getreportopt(config)
    config.stash[_TELLS_SKIPS] = "s" in shown
    config.option.reportchars = "N" + shown.replace("s", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Not to read all tests for a fortieth of them."""
    words = "read only the files that say how they ask upstream's API servers, or Helm"
    parser.addoption("--asking-alone", action="store_true", help=words)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files that ask nobody, where that is wanted."""
    reads_all = not config.getoption("--asking-alone") or not collection_path.is_file()
    return None if reads_all or _says_that_it_asks(collection_path) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--no-loadscope-reorder` files are given out in this order."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Holds that nothing is left out of those that ask."""
    asks = any(mark.name in ASKED for mark in item.iter_markers())
    assert not asks or _says_that_it_asks(item.path), f"{item.path} asks, and has none of the words {ASKING}"


@cache
def _says_that_it_asks(path: Path) -> bool:
    """Whether the words stand in the file, or in what tests of its folder share."""
    return any(
        word in each.read_text()
        for each in (path, path.with_name("conftest.py"))
        if each.exists()
        for word in ASKING
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Python looks for garbage neither while tests are collected, nor ever among what was, and seldom afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        garbage.look_seldom()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a reason, with how many tests were skipped for it."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped or not config.stash[_TELLS_SKIPS]:
        return
    reasons = Counter(str(each.longrepr[-1]).removeprefix("Skipped: ") for each in skipped)
    terminalreporter.section("tests skipped, by reason")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"SKIPPED [{count}] {reason}")


@pytest.fixture(scope="session")
def kube_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeClusters]:
    """Real clusters, for all tests of the session."""
    programs = kube_programs()
    if programs is None:
        pytest.skip(f"needs real API servers (hint: make test-kube, or name their folder in {ASSETS})")
    made = KubeClusters(programs, tmp_path_factory.mktemp("kube"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["embedded", pytest.param("kube", marks=pytest.mark.kube)])
def api_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whose API server the clusters of the test have: the lab's, then upstream's."""
    if request.param == "kube":
        if own := request.node.get_closest_marker("embedded"):
            pytest.skip(f"only with the lab's own API server: {own.args[0]}")
        skip_where_it_is_late()
        CHOICE.clusters = request.getfixturevalue("kube_clusters")
    yield request.param
    CHOICE.clusters = None
