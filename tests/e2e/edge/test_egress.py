"""TLS towards the world: from the sidecar of an application that speaks plain HTTP, and through an egress gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.calls import Answer, Request, call
from e2e.edge.objects import ADDRESS, SYSTEM, VAULT, originating, outside, secret, through_egress
from e2e.workloads import logged
from fakes.pki import Pki
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.installation import Installation, documents

Json = dict[str, Any]
ASKED = Request(host=ADDRESS, port=80, path="/", headers=(("host", VAULT),))


async def pod_address(stage: Stage, cluster: str, namespace: str, labels: str) -> str:
    """The address of the one pod with these labels."""
    words = ("get", "pod", "-n", namespace, "-l", labels, "-o", "jsonpath={.items[0].status.podIP}")
    return await stage.kubectl(cluster).run(*words)


@pytest.fixture
async def apply(with_vault: Stage, stage: Stage) -> AsyncIterator[Any]:
    """Applies objects to the public cluster for the time of a story."""
    kubectl, applied = stage.kubectl(PUBLIC), []

    async def take(*objects: Json) -> None:
        applied.extend(objects)
        await kubectl.apply(yaml.safe_dump_all(objects))

    yield take
    await kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(applied))


async def says(stage: Stage, *, client: str) -> Json:
    """What the vault says once it is called by `client`."""
    last: list[Answer] = []

    async def held() -> bool:
        last[:] = await call(stage, ASKED, 3)
        return all(each.status == 200 and json.loads(each.body)["client"] == [client] for each in last)

    assert await stage.until(held, 40), last
    return dict(json.loads(last[0].body))


async def test_a_sidecar_speaks_tls_for_its_application_and_believes_only_its_ca(
    stage: Stage, apply: Any, pki: Pki
) -> None:
    address = await pod_address(stage, PRIVATE, "default", "app=vault")
    reader = documents("secret-reader", Installation(cluster=PUBLIC, place="default"))
    shown, forger = pki.leaf(dns=("caller.example.com",)), Pki("another root")
    await apply(secret("vault-client", shown, forger, "default"))
    await apply(*reader, outside(address), originating("vault-client", 80, app="productpage"))

    async def refused() -> bool:
        return {each.status for each in await call(stage, ASKED, 5)} == {503}

    assert await stage.until(refused, 40), "a server of another CA is not believed"
    assert await logged(stage, PUBLIC, "productpage-v1", "CERTIFICATE_VERIFY_FAILED")
    await apply(secret("vault-client", shown, pki, "default"))
    said = await says(stage, client="caller.example.com")
    assert said["host"] == VAULT


async def test_calls_leave_by_the_egress_gateway_and_by_no_other_way(
    stage: Stage, apply: Any, pki: Pki
) -> None:
    address = await pod_address(stage, PRIVATE, "default", "app=vault")
    await apply(*documents("egress-gateway", Installation(cluster=PUBLIC, access_log="/dev/stdout")))
    kubectl = stage.kubectl(PUBLIC)
    await kubectl.run(
        "wait", "-n", SYSTEM, "--for=condition=Available", "--timeout=60s", "deployment/istio-egressgateway"
    )
    await apply(*documents("secret-reader", Installation(cluster=PUBLIC, secrets=("vault-client",))))
    await apply(secret("vault-client", pki.leaf(dns=("egress.example.com",)), pki))
    await apply(outside(address), originating("vault-client", 443, SYSTEM), *through_egress())
    said = await says(stage, client="egress.example.com")
    caller = await pod_address(stage, PUBLIC, "default", "app=productpage")
    egress = await pod_address(stage, PUBLIC, SYSTEM, "istio=egressgateway")
    assert said["peer"] == egress
    await stage.lab.ask("POST", "/link/listen")
    assert {each.status for each in await call(stage, ASKED, 10)} == {200}
    between = [[f"{caller}/32", f"{address}/32"], [f"{egress}/32", f"{address}/32"]]
    heard = await stage.lab.ask("POST", "/link/heard", {"between": between, "needles": [VAULT + "\r\n"]})
    direct, through = heard["packets"]
    assert (heard["complete"], direct, heard["needles"]) == (True, 0, [])
    assert through > 0
