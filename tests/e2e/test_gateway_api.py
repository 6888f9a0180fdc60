"""A Gateway of the Gateway API is an Envoy of its own, told by status, gone with its object; sidecars route, too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import pytest
import yaml

from e2e.calls import Request, call
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.installation import Installation, documents, dump
from isthmus.kube.errors import KubeError

API = "gateway.networking.k8s.io/v1"
KINDS = "gateway.gateway.networking.k8s.io,httproute,referencegrant"


class Answer(NamedTuple):
    status: int
    body: str
    headers: dict[str, str]


def made(kind: str, name: str, namespace: str = "default", /, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def gateway(*listeners: dict[str, Any], **more: Any) -> dict[str, Any]:
    usual = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return made("Gateway", "web", gatewayClassName="istio", listeners=list(listeners) or [usual], **more)


def to(name: str, port: int = 9080, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, **more}


def on(prefix: str, **more: Any) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": prefix}, **more}


WEB = {"parentRefs": [{"name": "web", "namespace": "default"}], "hostnames": ["shop.example.com"]}
SHOP = made(
    "HTTPRoute",
    "shop",
    **WEB,
    rules=[
        {"matches": [on("/productpage"), on("/static")], "backendRefs": [to("productpage")]},
        {"matches": [on("/reviews")], "backendRefs": [to("reviews", weight=3), to("details", weight=0)]},
        {
            "matches": [on("/reviews", headers=[{"name": "x-who", "value": "details"}])],
            "filters": [
                {
                    "type": "URLRewrite",
                    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/details"}},
                }
            ],
            "backendRefs": [to("details")],
        },
        {
            "matches": [on("/old")],
            "filters": [
                {
                    "type": "RequestRedirect",
                    "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}},
                }
            ],
        },
    ],
)


@pytest.fixture
async def shop(stage: Stage) -> AsyncIterator[Stage]:
    kubectl = stage.kubectl(PUBLIC)
    await kubectl.apply(dump(documents("gateway-api", Installation(cluster=PUBLIC))))
    yield stage
    await kubectl.run("delete", KINDS, "--all", "-A", "--ignore-not-found")
    await kubectl.run("delete", "namespace", "other", "--ignore-not-found")
    await stage.lab.open(PUBLIC, "istio-system", "istio-ingressgateway", 80)


async def apply(stage: Stage, *objects: dict[str, Any]) -> None:
    await stage.kubectl(PUBLIC).apply(yaml.safe_dump_all(objects))


async def get(url: str, path: str, **headers: str) -> Answer:
    sent = {"host": "shop.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
    limit = aiohttp.ClientTimeout(total=10)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url + path, headers=sent, allow_redirects=False) as answer,
        ):
            return Answer(answer.status, await answer.text(), dict(answer.headers))
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(0, repr(error), {})


async def conditions(stage: Stage, *what: str) -> dict[str, str]:
    found: Any = await stage.kubectl(PUBLIC).json("get", *what)
    status = found.get("status") or {}
    parents = [each.get("conditions", []) for each in status.get("parents", [])]
    return {one["type"]: one["status"] for all_ in [status.get("conditions", []), *parents] for one in all_}


async def opened(stage: Stage) -> str:
    """The URL of the Gateway, as soon as it serves."""

    async def is_programmed() -> bool:
        try:
            found = await conditions(stage, "gateway.gateway.networking.k8s.io", "web")
        except KubeError:
            return False
        return found.get("Programmed") == "True"

    assert await stage.until(is_programmed, 60), "the Gateway is not programmed"
    url = await stage.lab.open(PUBLIC, "default", "web-istio", 80)

    async def answers() -> bool:
        return (await get(url, "/productpage")).status == 200

    assert await stage.until(answers, 90), await get(url, "/productpage")
    return url


async def test_a_gateway_brings_up_an_envoy_that_serves_pods_of_both_clusters(shop: Stage) -> None:
    await apply(shop, gateway(), SHOP)
    url = await opened(shop)
    assert "Book" in (await get(url, "/productpage")).body
    seen = {json.loads((await get(url, "/reviews/0")).body)["clustername"] for _ in range(30)}
    assert len(seen) == 2, seen
    details = await get(url, "/reviews/0", x_who="details")
    assert "author" in details.body, details
    redirect = await get(url, "/old")
    assert (redirect.status, redirect.headers["Location"]) == (302, "http://shop.example.com/new")
    assert (await get(url, "/productpage", host="other.example.com")).status == 404
    found: Any = await shop.kubectl(PUBLIC).json("get", "gateway.gateway.networking.k8s.io", "web")
    (listener,) = found["status"]["listeners"]
    assert listener["attachedRoutes"] == 1
    assert found["status"]["addresses"][0]["type"] == "IPAddress"
    assert await conditions(shop, "httproute", "shop") == {"Accepted": "True", "ResolvedRefs": "True"}

    async def is_accepted() -> bool:
        return (await conditions(shop, "gatewayclass", "istio")).get("Accepted") == "True"

    assert await shop.until(is_accepted, 30), "the class is not accepted"
    await shop.kubectl(PUBLIC).run("delete", "gateway.gateway.networking.k8s.io", "web")

    async def gone() -> bool:
        left = await shop.kubectl(PUBLIC).run("get", "deployment,service,serviceaccount,pod", "-o", "name")
        return "web-istio" not in left

    assert await shop.until(gone, 60), "its objects go with it"


async def test_a_route_reaches_into_another_namespace_only_by_its_leave(shop: Stage) -> None:
    await shop.kubectl(PUBLIC).run("create", "namespace", "other")
    rules = [{"backendRefs": [to("productpage", namespace="default")]}]
    await apply(shop, gateway(), made("HTTPRoute", "cross", "other", **WEB, rules=rules))

    async def refused() -> bool:
        return (await conditions(shop, "httproute", "cross", "-n", "other")).get("ResolvedRefs") == "False"

    assert await shop.until(refused, 30)
    text = await shop.kubectl(PUBLIC).run("get", "httproute", "cross", "-n", "other", "-o", "yaml")
    assert "reason: RefNotPermitted" in text
    grant = made(
        "ReferenceGrant",
        "let",
        **{
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "other"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    )
    await apply(shop, grant)

    async def accepted() -> bool:
        return (await conditions(shop, "httproute", "cross", "-n", "other")).get("ResolvedRefs") == "True"

    assert await shop.until(accepted, 30)
    assert (await get(await opened(shop), "/productpage")).status == 200


async def test_a_route_of_a_service_holds_for_its_callers_in_the_mesh(shop: Stage) -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews"}
    told = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-by", "value": "us"}]},
    }
    rules = [{"matches": [on("/reviews")], "filters": [told], "backendRefs": [to("reviews")]}]
    await apply(shop, made("HTTPRoute", "inside", parentRefs=[parent], rules=rules))

    async def told_so() -> bool:
        (answer,) = await call(shop, Request())
        return answer.headers.get("x-by") == "us"

    assert await shop.until(told_so, 30)
    (other,) = await call(shop, Request(path="/health"))
    assert other.status == 404, "no rule is for it"
    await shop.kubectl(PUBLIC).run("delete", "httproute", "inside")

    async def over() -> bool:
        answers = await call(shop, Request())
        return all(each.status == 200 and "x-by" not in each.headers for each in answers)

    assert await shop.until(over, 30)
