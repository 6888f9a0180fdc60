"""Two meshes with roots and trust domains of their own call each other once they have exchanged roots, and not before.

The guide's own commands and manifests, section by section; between them, what the wire does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.own_lab import own_lab
from e2e.reading import commands, desk, guide, typed, written
from e2e.workloads import printed
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.lab_process import samples_folder
from isthmus.lab.spec import read_spec

IN_A_TERMINAL_OF_ITS_OWN = "isthmus lab up -f samples/lab/two-networks.yaml"
DOMAINS = {PUBLIC: "a.example", PRIVATE: "b.example"}
CALLS = ((PUBLIC, PRIVATE), (PRIVATE, PUBLIC))
ADDRESSES = {PUBLIC: "203.0.113.1", PRIVATE: "198.51.100.1"}
OF_OTHERS, POLICY = "ratings-of-b.yaml", "partners.yaml"
TEXT = guide("trust-other-meshes")


class Reader:
    """Somebody who follows the guide."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "state" / "lab").symlink_to(stage.lab.folder)
        self._folder, self._stage = folder, stage
        self._environment = desk(
            folder,
            ISTHMUS_STATE=str(folder / "state"),
            KUBECONFIG=":".join(str(stage.lab.kubeconfig(each)) for each in (PUBLIC, PRIVATE)),
        )
        for file, lines in written(TEXT).items():
            (folder / file).write_text(lines)

    async def types(self, *told: str) -> str:
        script = "\n".join(["set -euo pipefail", *told])
        done = await asyncio.to_thread(typed, script, self._environment, self._folder)
        assert done.returncode == 0, (told, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    async def follows(self, title: str) -> str:
        """What the commands print that stand below a title."""
        (section,) = re.findall(rf"^## (?:\d\. )?{title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
        return await self.types(*commands(section))

    def objects(self, file: str) -> list[dict[str, Any]]:
        return [*yaml.safe_load_all((self._folder / file).read_text())]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Reader]]:
    """The two meshes of the guide, who know the way to each other."""

    async def build(stage: Stage) -> None:
        reader = Reader(stage, folder)
        made.append(reader)
        await reader.follows("Trust domains of their own")
        await stage.kubectl(PRIVATE).apply(seen_from_b(reader.objects(OF_OTHERS)))

    assert commands(TEXT)[0].startswith(IN_A_TERMINAL_OF_ITS_OWN)
    spec, folder = (
        read_spec(samples_folder() / "lab" / "two-networks.yaml"),
        tmp_path_factory.mktemp("reader"),
    )
    made: list[Reader] = []
    with own_lab(tmp_path_factory.mktemp("meshes"), spec, build) as stage:
        yield stage, made[0]


async def status(stage: Stage, caller: str, called: str, path: str = "/ratings/7") -> str:
    """What ratings of a mesh is answered by that of the other."""
    asked = ("curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}")
    return await printed(stage, caller, "app=ratings", *asked, f"ratings.{DOMAINS[called]}:9080{path}")


async def steady(stage: Stage, wanted: str, *calls: tuple[str, ...], times: int = 3) -> None:
    """Each of the calls gets this answer so often in a row."""

    async def so() -> bool:
        for _ in range(times):
            if {await status(stage, *each) for each in calls} != {wanted}:
                return False
        return True

    assert await stage.until(so, 90), [await status(stage, *each) for each in calls]


def seen_from_b(objects: list[dict[str, Any]]) -> str:
    """The same rules for the other way."""
    text = yaml.safe_dump_all(objects).replace(ADDRESSES[PRIVATE], ADDRESSES[PUBLIC])
    return text.replace("b.example", "a.example").replace("of-b", "of-a")


async def test_two_meshes_call_each_other_after_they_exchange_roots_and_not_before(
    apart: tuple[Stage, Reader],
) -> None:
    stage, reader = apart
    said = await reader.follows("Make a service of the other mesh known")
    assert said.splitlines()[-1] == "503"
    await steady(stage, "503", *CALLS)
    said = await reader.follows("Exchange roots")
    assert "a.example and b.example believe each other" in said
    await steady(stage, "200", *CALLS)

    private = stage.kubectl(PRIVATE)
    await reader.follows("Say what they may call")
    await steady(stage, "403", (PUBLIC, PRIVATE, "/health"))
    await steady(stage, "200", *CALLS)
    (policy,) = reader.objects(POLICY)
    for others in (
        f"{DOMAINS[PUBLIC]}/ns/default/sa/somebody",
        f"{DOMAINS[PRIVATE]}/ns/default/sa/bookinfo-ratings",
    ):
        policy["spec"]["rules"][0]["from"][0]["source"]["notPrincipals"] = [others]
        await private.apply(yaml.safe_dump(policy))
        # An account of the same name in its own mesh is somebody else.
        await steady(stage, "403", (PUBLIC, PRIVATE))
        await reader.types(f"kubectl --context {PRIVATE} apply -f {POLICY}")
        await steady(stage, "200", (PUBLIC, PRIVATE))
    await private.run("delete", "-f", "-", stdin=yaml.safe_dump(policy))


async def test_what_is_taken_back_ends_calls_both_ways_and_is_given_again(
    apart: tuple[Stage, Reader],
) -> None:
    stage, reader = apart
    await reader.types(f"isthmus trust exchange {PUBLIC} {PRIVATE}")
    await steady(stage, "200", *CALLS)
    await reader.types(f"isthmus trust remove {DOMAINS[PUBLIC]} --context {PRIVATE}")
    await steady(stage, "503", *CALLS)  # one side suffices
    await reader.types(f"isthmus trust exchange {PUBLIC} {PRIVATE}")
    await steady(stage, "200", *CALLS)
    await reader.follows("The end of it")
    await steady(stage, "503", *CALLS)
    for mesh in DOMAINS:
        assert await reader.types(f"isthmus trust list --context {mesh}") == "none\n"
