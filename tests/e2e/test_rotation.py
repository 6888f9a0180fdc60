"""The CA of both clusters is changed, its root too, while pages are asked for across them: no request fails."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.conftest import Rules
from e2e.mesh_views import in_sidecar
from e2e.visits import visits
from isthmus.ca.founding import ROOT_KEY, Founding, found
from isthmus.ca.store import ROOT_CERT
from isthmus.console.demo.stage import CLUSTERS, PRIVATE, PUBLIC, Stage

SIGNAL_AGENT = """
for each in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' < $each/cmdline)" in *agent\\ sidecar*) kill -%s ${each#/proc/} ;; esac
done
"""
APPS = ("productpage", "details", "reviews", "ratings")
FRESH = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
"""Each request has a connection of its own, so each is a handshake with what both sides hold then."""


def fresh_connections(app: str) -> dict[str, object]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": f"fresh-{app}", "namespace": "default"},
        "spec": {"host": app, "trafficPolicy": FRESH},
    }


@asynccontextmanager
async def load(stage: Stage, rules: Rules) -> AsyncIterator[None]:
    """Steady visits beside the block, each of which makes new connections; none has failed in the end."""
    await rules(*(fresh_connections(app) for app in APPS))
    async with visits(stage) as pages:
        yield
    assert len(pages) > 20
    assert {page.node for page in pages} >= {"k8s-demo"}, "no call went to the other cluster"
    assert [page for page in pages if not page.complete] == []


@dataclass
class Operator:
    """Gives `isthmus ca` commands to both clusters."""

    stage: Stage

    async def rotate(self, *words: str) -> tuple[int, str]:
        """How a step of a rotation ended, and what it said."""
        return await self.ca("rotate", *words)

    async def ca(self, *words: str) -> tuple[int, str]:
        """How the command ended, and what it said."""
        files = os.pathsep.join(str(self.stage.lab.kubeconfig(each)) for each in CLUSTERS)
        contexts = [word for each in CLUSTERS for word in ("--context", each)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus", "ca", *words, *contexts),
            env={**os.environ, "KUBECONFIG": files},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def steps(self, *steps: tuple[str, ...]) -> None:
        """Take these steps, and wait after each until all hold it."""
        for step in steps:
            code, said = await self.rotate(*step)
            assert code == 0, said
            await self.all_hold_it()

    async def all_hold_it(self) -> None:
        code, said = await self.rotate("status", "--wait", "90s")
        assert code == 0, said

    async def root(self) -> bytes:
        """What a pod trusts."""
        return (await in_sidecar(self.stage, "cat /var/run/secrets/istio/root-cert.pem")).encode()


def founded(folder: Path, root_of: Path | None = None) -> Path:
    """CAs for both clusters, under a new root or that of another folder."""
    if root_of is not None:
        folder.mkdir()
        for name in (ROOT_CERT, ROOT_KEY):
            shutil.copy(root_of / name, folder / name)
    found(folder, Founding(clusters=CLUSTERS))
    return folder


async def test_the_root_changes_under_load_once_the_last_proxy_has_followed_and_then_the_intermediates_do(
    stage: Stage, rules: Rules, tmp_path: Path
) -> None:
    operator, new = Operator(stage), founded(tmp_path / "new")
    async with load(stage, rules):
        await operator.steps(("start", str(new)))
        await in_sidecar(stage, SIGNAL_AGENT % "STOP")
        try:
            code, said = await operator.rotate("switch", str(new))
            assert code == 0, said

            async def only_it_is_behind() -> bool:
                await asyncio.sleep(1)  # or commands take the processors from what they wait for
                _, told = await operator.rotate("status")
                return told.count("behind: ") == 1 and "behind: reviews-v3" in told

            assert await stage.until(only_it_is_behind, 90), (await operator.rotate("status"))[1]
            code, said = await operator.rotate("finish")
            assert code == 1
            assert "reviews-v3" in said
            assert "in onprem: has a certificate of the old CA still" in said
            code, said = await operator.rotate("start", str(founded(tmp_path / "other")))
            assert code == 1
            assert "a rotation is under way, at stage sign" in said
        finally:
            await in_sidecar(stage, SIGNAL_AGENT % "CONT")
        await operator.all_hold_it()
        await operator.steps(("finish",))
        again = str(founded(tmp_path / "again", root_of=new))
        await operator.steps(("start", again), ("switch", again), ("finish",))
    assert await operator.root() == (new / ROOT_CERT).read_bytes()


async def test_a_rotation_is_aborted_under_load_and_all_is_as_before(
    stage: Stage, rules: Rules, tmp_path: Path
) -> None:
    operator, new = Operator(stage), founded(tmp_path / "new")
    before = await operator.root()
    async with load(stage, rules):
        await operator.steps(("start", str(new)))
        code, said = await operator.rotate("switch", str(new))
        assert code == 0, said
        await operator.steps(("abort",))

        async def aborted() -> bool:
            code, said = await operator.rotate("abort")
            assert code == 0 or "has a certificate of the new CA still" in said, said
            return code == 0

        # One that is slow may read only now what the switch brought, and who gives up the root is told so.
        assert await stage.until(aborted, 90), (await operator.rotate("status"))[1]
        await operator.all_hold_it()
    assert await operator.root() == before
    secrets = await stage.kubectl(PRIVATE).run("get", "secrets", "-n", "istio-system", "-o", "name")
    assert "secret/cacerts-before-rotation" not in secrets.split()


PAGE = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"


async def new_pages(stage: Stage) -> None:
    """Have other pods of productpage, which answer."""
    for cluster in CLUSTERS:
        await stage.kubectl(cluster).run("delete", "pod", "-l", "app=productpage")
    assert await stage.steady(lambda page: page.complete, times=10, limit_s=120)


async def test_a_denied_certificate_is_taken_nowhere_and_the_next_of_its_workload_is(stage: Stage) -> None:
    operator = Operator(stage)
    await new_pages(stage)  # whose streams to Pilot are by the certificates that they have
    code, said = await operator.ca("status", "--all", "-o", "json")
    proxies = [each for one in json.loads(said)["clusters"] for each in one["proxies"]]
    stolen = [each for each in proxies if "/sa/bookinfo-productpage" in each["said"]["identity"]]
    pods = {each["pod"]: each["said"]["chain"][0]["serial"] for each in stolen}
    numbers = [word for serial in pods.values() for word in ("--serial", serial[:16])]
    code, said = await operator.ca("deny", *numbers, "--reason", "seen on Monday")
    assert code == 0, said
    try:
        assert all(f"default/{pod} holds {serial}" in said for pod, serial in pods.items())
        assert await stage.steady(lambda page: not page.complete, times=10, limit_s=120)
        code, said = await operator.ca("status")
        assert all(f"{serial[:12]}  " in said for serial in pods.values()), said
        await new_pages(stage)
        log = await stage.kubectl(PUBLIC).run("logs", "-n", "istio-system", "deployment/istio-pilot")
        assert any(
            f"certificate {serial} of {PAGE} is denied: seen on Monday" in log for serial in pods.values()
        )
        code, said = await operator.ca("denied")
        assert all(serial[:12] in said for serial in pods.values())
    finally:
        code, said = await operator.ca("allow", *numbers)
    assert (code, said) == (0, "nobody is denied\n")


async def test_who_is_denied_is_let_in_nowhere_until_it_is_allowed_again(stage: Stage, rules: Rules) -> None:
    operator, caller = Operator(stage), PAGE
    await rules(*(fresh_connections(app) for app in APPS))  # older ones may last until they are drained
    code, said = await operator.ca("deny", caller, "--reason", "seen on Monday")
    assert code == 0, said
    try:
        assert "seen on Monday" in said
        assert await stage.steady(lambda page: not page.complete, times=10, limit_s=120)
    finally:
        code, said = await operator.ca("allow", caller)
    assert (code, said) == (0, "nobody is denied\n")
    assert await stage.steady(lambda page: page.complete, times=10, limit_s=120)
