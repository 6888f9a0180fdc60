"""The guides for what people do with traffic: their commands, run as they stand, say what the guides say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.reading import ROOT, commands, desk, guide, shown, typed
from e2e.workloads import needs
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

IN_A_TERMINAL_OF_ITS_OWN = "isthmus demo --keep"
HOME = "~/.local/state/isthmus"
SAID = {
    "release-step-by-step": [
        r"^ +20 reviews-v1\n",
        r"^ +\d\d reviews-v1\n +\d\d reviews-v3\n",
        r"rule +VirtualService default/reviews http\[0\]",
        r"^reviews-v3\nreviews-v1\n",
        r'^"reviews-shadow:9080"\n',
        r"^ +20 reviews-v3\n",
        r"^ +20 reviews-v1\n",
    ],
    "break-on-purpose": [
        r"^500 after 6\.\d+ s\n200 after",
        r'^ +2 "error": "No ratings at the moment."\n0\n',
        r"^504 after",
        r"^ +\d+ 200\n +\d+ 503\n",
    ],
    "databases": [
        r'^ +10 Reviewer1": 5\n',
        r'^ +\d+ Reviewer1": 2\n +\d+ Reviewer1": 5\n',
    ],
    "grpc": [
        r"hello mesh, from greeter-v1 on gke-demo-pool-1\n(.*\n)?.*hello mesh, from greeter-v2 on k8s-demo\n",
        r"UNAVAILABLE: not now, says greeter-v2 on k8s-demo\n",
        r"RESOURCE_EXHAUSTED: fault filter abort\n",
    ],
    "sticky-sessions": [r"(^ +10 reviews-v[123]\n){5}", r"(^ +10 reviews-v[123]\n){4}"],
    "failover": [
        r"^ +\d+ reviews-v1\n +\d+ reviews-v2\n +\d+ reviews-v3\n",
        r"^ +\d+ reviews-v1\n +\d+ reviews-v2\n",
        r"^ +30 reviews-v3\n",
        r"reviews-v3-\S+ .*onprem, unhealthy",
    ],
}
"""What must be seen, in this order, when a guide is followed."""


def missing(wanted: list[str], seen: str) -> list[str]:
    """The patterns that are not there, each looked for after the one before."""
    at, found = 0, []
    for each in wanted:
        match = re.compile(each, re.MULTILINE).search(seen, at)
        at = match.end() if match else at
        found += [] if match else [each]
    return found


@pytest.fixture
async def reader(stage: Stage, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of somebody who follows a guide beside the demo; afterwards nothing of it is left."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "demo").symlink_to(stage.lab.folder)
    yield desk(tmp_path, ISTHMUS_STATE=str(state))
    public = stage.kubectl(PUBLIC)
    await public.run("delete", "destinationrules,virtualservices", "--all")
    await public.run("apply", "-f", str(ROOT / "samples/bookinfo/networking/bookinfo-gateway.yaml"))
    for cluster, left in ((PUBLIC, _NEWCOMERS), (PRIVATE, _NEWCOMERS)):
        await stage.kubectl(cluster).run("delete", "deployments,services", "--ignore-not-found", "-l", left)


_NEWCOMERS = "app in (mysqldb,mongodb,greeter,greeter-caller)"


@pytest.mark.parametrize("name", SAID)
def test_the_guide_works_as_it_is_written(name: str, reader: dict[str, str], tmp_path: Path) -> None:
    if name == "databases":
        needs("mariadbd", "sudo apt-get install --no-install-recommends mariadb-server-core")
        needs("ferretdb", "install Go, then run tools/databases")
    first, *others = commands(guide(name))
    assert first.startswith(IN_A_TERMINAL_OF_ITS_OWN)
    script = "\n".join(["set -eu", *others]).replace(HOME, reader["ISTHMUS_STATE"])
    done = typed(script, reader, tmp_path)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert missing(SAID[name], done.stdout) == [], said


@pytest.mark.parametrize("name", SAID)
def test_the_guide_shows_what_is_seen(name: str) -> None:
    assert missing(SAID[name], shown(guide(name))) == []
