"""Strict mutual TLS over two clusters: what the line carries, who is refused, and that nobody notices the step."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e.conftest import Rules, complete
from e2e.echo.objects import Json, account, deployment
from e2e.visits import visits
from e2e.workloads import printed, workloads
from isthmus.console.demo.stage import CLUSTERS, Stage

ASK = """
import http.client
try:
    connection = http.client.HTTPConnection("reviews", 9080, timeout=5)
    connection.request("GET", "/reviews/0")
    print(connection.getresponse().status)
except OSError as error:
    print(type(error).__name__)
except http.client.HTTPException as error:
    print(type(error).__name__)
"""


def terms(mode: str) -> Json:
    """On which terms all workloads of the mesh are called."""
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"},
        "spec": {"mtls": {"mode": mode}},
    }


def stranger() -> list[Json]:
    """A pod without a sidecar, that can do nothing but call in plain text."""
    made = deployment("stranger", ["sleep", "infinity"], **{"sidecar.istio.io/inject": "false"})
    spec = made["spec"]["template"]["spec"]
    del spec["volumes"], spec["containers"][0]["volumeMounts"]
    return [account("stranger"), made]


@pytest.fixture(scope="module")
def strangers(built: Stage) -> Iterator[Stage]:
    """One in each cluster."""
    with workloads(built, {each: stranger() for each in CLUSTERS}) as stage:
        yield stage


async def told(stage: Stage, cluster: str) -> str:
    """What the stranger of a cluster is told by reviews: a status, or how the connection ended."""
    return (await printed(stage, cluster, "app=stranger", "python3", "-c", ASK)).strip()


async def are_told(stage: Stage, *wanted: str) -> bool:
    return all([await told(stage, each) in wanted for each in CLUSTERS])


REFUSED = ("ConnectionResetError", "RemoteDisconnected")


@pytest.fixture
async def strict(strangers: Stage, stage: Stage, rules: Rules) -> AsyncIterator[Stage]:
    """The mesh while it takes mutual TLS alone."""
    assert await stage.until(lambda: are_told(stage, "200"), 60), "plain text is taken before"
    await rules(terms("STRICT"))
    assert await stage.until(lambda: are_told(stage, *REFUSED), 60)
    yield stage


async def keys_of(stage: Stage) -> list[str]:
    """A line of the key of each cluster's CA, as it would be seen in a file or in a Secret."""
    found = []
    for cluster in CLUSTERS:
        secret = await stage.kubectl(cluster).json("get", "secret", "cacerts", "-n", "istio-system")
        key = base64.b64decode(secret["data"]["ca-key.pem"]).decode()
        found += [key.splitlines()[1], secret["data"]["ca-key.pem"][100:160]]
    return found


async def test_the_line_carries_no_plain_text_and_no_key_and_who_calls_in_plain_text_is_refused(
    strict: Stage,
) -> None:
    await strict.lab.ask("POST", "/link/listen")
    seen: set[str] = set()

    async def from_both() -> bool:
        page = await strict.visitor.visit()
        assert complete(page)
        seen.add(page.node)
        return len(seen) > 1

    assert await strict.until(from_both, 60), "pages have reviews of both clusters"
    assert await are_told(strict, *REFUSED)
    needles = ["GET /reviews", "GET /ratings", "podname", "HTTP/1.1", "PRIVATE KEY", *await keys_of(strict)]
    heard = await strict.lab.ask("POST", "/link/heard", {"needles": needles, "between": []})
    assert heard["complete"]
    assert heard["flows"], "calls did cross the line"
    assert heard["needles"] == []


async def test_from_permissive_to_strict_and_back_no_request_fails(
    strangers: Stage, stage: Stage, rules: Rules
) -> None:
    async with visits(stage, people=3) as pages:
        for mode, wanted in (("STRICT", REFUSED), ("PERMISSIVE", ("200",)), ("STRICT", REFUSED)):
            await rules(terms(mode))
            assert await stage.until(lambda wanted=wanted: are_told(stage, *wanted), 60), mode
            before = len(pages)

            async def went_on(before: int = before) -> bool:
                return len(pages) > before + 30

            assert await stage.until(went_on, 60)
    assert [page for page in pages if not complete(page)] == []
    assert len({page.node for page in pages}) > 1, "reviews of both clusters were called"
