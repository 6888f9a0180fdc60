"""Tokens of users over both clusters: keys that Pilot fetches from a pod, policies written once, routes by claims."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.calls import Request, call
from e2e.conftest import Rules
from e2e.mesh_views import findings
from e2e.workloads import workloads
from fakes.issuers import Key, jwks
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kit.tasks import supervise

Json = dict[str, Any]
KEY, SYSTEM, HOST = Key(), "istio-system", "tokens.example.com"
ISSUER = "http://issuer.default.svc.cluster.local:8000"
LIFE_S = 3600  # these are signed when the stories of a session are collected
TESTER, OTHER = KEY.sign(ISSUER, LIFE_S, groups=["testers"]), KEY.sign(ISSUER, LIFE_S)
STRANGER = Key().sign(ISSUER, LIFE_S, groups=["testers"])


def made(api: str, kind: str, name: str, spec: Json, namespace: str = "default") -> Json:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def issuer() -> list[Json]:
    """An issuer that says at the usual place where its keys are, without a sidecar."""
    labels, folder = {"app": "issuer"}, "/srv/.well-known"
    files = {
        "keys": jwks(KEY),
        "openid-configuration": json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/.well-known/keys"}),
    }
    container = {
        "name": "issuer",
        "image": "python:3",
        "command": ["python3", "-m", "http.server", "8000", "--directory", "/srv"],
        "volumeMounts": [{"name": "files", "mountPath": folder}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {"containers": [container], "volumes": [{"name": "files", "configMap": {"name": "issuer"}}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": "issuer", "namespace": "default"}
    ports = [{"name": "http", "port": 8000}]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": files},
        made("v1", "Service", "issuer", {"selector": labels, "ports": ports}),
        made("apps/v1", "Deployment", "issuer", spec),
    ]


def policies() -> list[Json]:
    """Tokens are believed in the whole mesh, and reviews wants one, of whichever cluster its pods are."""
    security, networking = "security.istio.io/v1", "networking.istio.io/v1"
    rule = {"issuer": ISSUER, "forwardOriginalToken": True}
    users = [{"from": [{"source": {"requestPrincipals": [f"{ISSUER}/*"]}}]}]
    versions = [{"name": name, "labels": {"version": name}} for name in ("v1", "v3")]

    def to(subset: str) -> list[Json]:
        return [{"destination": {"host": "reviews.default.svc.cluster.local", "subset": subset}}]

    testers = [{"headers": {"@request.auth.claims.groups": {"exact": "testers"}}}]
    routes = [{"match": testers, "route": to("v3")}, {"route": to("v1")}]
    at_gateway = {"hosts": [HOST], "gateways": ["bookinfo-gateway"], "http": routes}
    selector = {"matchLabels": {"app": "reviews"}}
    return [
        made(security, "RequestAuthentication", "users", {"jwtRules": [rule]}, SYSTEM),
        made(security, "AuthorizationPolicy", "users-alone", {"selector": selector, "rules": users}),
        made(networking, "DestinationRule", "tokens", {"host": "reviews", "subsets": versions}),
        made(networking, "VirtualService", "tokens", at_gateway),
    ]


@pytest.fixture(scope="module")
def with_issuer(built: Stage) -> Iterator[Stage]:
    with workloads(built, {PUBLIC: issuer()}) as stage:
        yield stage


def asked(url: str, token: str) -> tuple[int, str]:
    """The status with which somebody outside is answered at the gateway, and the version of reviews that answered."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    headers = {"host": HOST} | ({"authorization": f"Bearer {token}"} if token else {})
    connection.request("GET", "/reviews/0", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body)["podname"].split("-")[1] if answer.status == 200 else ""


async def test_tokens_open_reviews_in_both_clusters_and_choose_the_way_also_while_pilot_starts_and_their_issuer_is_away(
    with_issuer: Stage, stage: Stage, rules: Rules
) -> None:
    url = await stage.lab.open(PUBLIC, SYSTEM, "istio-ingressgateway", 80)
    await rules(*policies())

    async def ask(token: str = "") -> tuple[int, str]:
        return await asyncio.to_thread(asked, url, token)

    last: list[tuple[int, str]] = []

    async def held() -> bool:
        last[:] = [await ask(each) for each in (TESTER, OTHER, STRANGER, "")]
        return last == [
            (200, "v3"),  # of the private cluster
            (200, "v1"),
            (401, ""),
            (403, ""),
        ]

    assert await stage.until(held, 40), (last, await findings(stage))

    async def is_shut() -> bool:
        bare = await call(stage, times=3)
        return {each.status for each in bare} == {403}

    assert await stage.until(is_shut, 20)
    with_token = Request(headers=(("authorization", f"Bearer {OTHER}"),))
    assert {each.status for each in await call(stage, with_token, 5)} == {200}
    told = [each for each in await findings(stage) if each["object"].startswith("RequestAuthentication")]
    assert [each["code"] for each in told] == ["ISM0052"], "keys that come in plain text, and nothing else"

    answers: Counter[tuple[int, str]] = Counter()

    async def ask_on(token: str) -> None:
        while True:
            answers[await ask(token)] += 1

    public = stage.kubectl(PUBLIC)

    async def are_kept() -> bool:
        found: Any = await public.json("get", "configmap", "istio-issuer-keys", "-n", SYSTEM)
        return ISSUER in str(found.get("data"))

    assert await stage.until(are_kept, 40)
    await public.run("scale", "deployment/issuer", "--replicas=0")
    await public.run("wait", "--for=delete", "pod", "-l", "app=issuer", "--timeout=60s")
    async with supervise(ask_on(TESTER), ask_on(OTHER)):
        await public.run("rollout", "restart", "deployment/istio-pilot", "-n", SYSTEM)
        await public.run("rollout", "status", "deployment/istio-pilot", "-n", SYSTEM, "--timeout=90s")
        assert await stage.until(held, 40)
        await asyncio.sleep(2)
    assert answers.keys() == {(200, "v3"), (200, "v1")}, answers

    async def is_told() -> bool:
        return any("the last good ones of" in each["message"] for each in await findings(stage))

    assert await stage.until(is_told, 20), "that the new Pilot believes by keys that the last one has fetched"
