"""A Gateway of the Gateway API, and an Ingress, with a certificate of their own in front of the page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from e2e.edge.callers import Outside
from e2e.edge.conftest import serial
from e2e.edge.objects import SYSTEM, secret
from e2e.edge.test_ingress import answered
from e2e.workloads import logged
from fakes.pki import Pki
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.installation import Installation, documents, dump

API, SHOP, OLD = "gateway.networking.k8s.io/v1", "shop.example.com", "old.example.com"
REVIEWS, HEALTH = "/reviews/0", "/health"


def made(version: str, kind: str, name: str, namespace: str = "default", /, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def shop() -> list[dict[str, Any]]:
    """An HTTPS listener, a mirror, shares, and one of nothing for a backend that is not there."""
    tls = {"certificateRefs": [{"name": "shop-cert"}]}
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "details", "port": 9080}}}
    backends = [{"name": "reviews", "port": 9080, "weight": 1}, {"name": "gone", "port": 9080, "weight": 0}]
    shares = [{"name": "reviews", "port": 9080, "weight": 3}, {"name": "details", "port": 9080, "weight": 1}]
    rules = [
        {"backendRefs": [{"name": "productpage", "port": 9080}]},
        {"matches": [{"path": {"value": HEALTH}}], "backendRefs": shares},
        {"matches": [{"path": {"value": "/reviews"}}], "filters": [mirror], "backendRefs": backends},
    ]
    return [
        made(API, "Gateway", "shop", gatewayClassName="istio", listeners=[listener]),
        made(API, "HTTPRoute", "shop", parentRefs=[{"name": "shop"}], hostnames=[SHOP], rules=rules),
    ]


def old() -> dict[str, Any]:
    """Paths of each type behind a certificate."""
    kinds = {"/productpage": "Exact", "/reviews": "Prefix", "/details/*": "ImplementationSpecific"}
    paths = [
        {
            "path": path,
            "pathType": kind,
            "backend": {"service": {"name": path.split("/")[1], "port": {"number": 9080}}},
        }
        for path, kind in kinds.items()
    ]
    rules = [{"host": OLD, "http": {"paths": paths}}]
    tls = [{"hosts": [OLD], "secretName": "old-cert"}]
    return made("networking.k8s.io/v1", "Ingress", "old", ingressClassName="istio", tls=tls, rules=rules)


async def renew(stage: Stage, caller: Outside, host: str, name: str, pki: Pki) -> None:
    """Put a new certificate into the Secret, and wait until it is shown."""
    newer = pki.leaf(dns=(host,))
    await stage.kubectl(PUBLIC).apply(yaml.safe_dump(secret(name, newer, namespace="default")))
    assert await answered(stage, caller, host, wanted=serial(newer)), name


async def test_listeners_and_ingresses_show_a_new_certificate_and_send_where_they_should(
    stage: Stage, edge: str, pki: Pki
) -> None:
    kubectl = stage.kubectl(PUBLIC)
    reader = Installation(cluster=PUBLIC, place="default")
    objects = [
        *documents("secret-reader", reader),
        secret("shop-cert", pki.leaf(dns=(SHOP,)), namespace="default"),
        secret("old-cert", pki.leaf(dns=(OLD,)), namespace="default"),
        *shop(),
        old(),
    ]
    await kubectl.apply(dump(documents("gateway-api", Installation(cluster=PUBLIC))))
    await kubectl.apply(yaml.safe_dump_all(objects))
    try:
        ingress = Outside(edge, pki)
        for path in ("/productpage", REVIEWS, "/details/0"):
            assert await answered(stage, ingress, OLD, path), path
        assert (await ingress.get(OLD, "/productpage/more")).status == 404, "an exact path is no prefix"
        await renew(stage, ingress, OLD, "old-cert", pki)

        async def is_made() -> bool:
            return "service/shop-istio" in await kubectl.run("get", "service", "-o", "name")

        assert await stage.until(is_made, 60)
        # The lab has one door to the outside: the one before is closed.
        gateway = Outside(await stage.lab.open(PUBLIC, "default", "shop-istio", 443), pki)
        assert await answered(stage, gateway, SHOP)
        assert {(await gateway.get(SHOP, REVIEWS)).status for _ in range(10)} == {200}
        assert await logged(stage, PUBLIC, "details-v1", f"GET {REVIEWS} HTTP/1.1", f'"{SHOP}-shadow"')
        healthy = Counter([(await gateway.get(SHOP, HEALTH)).said["status"] for _ in range(80)])
        assert {*healthy} == {"Reviews is healthy", "Details is healthy"}
        assert 5 <= healthy["Details is healthy"] <= 40, "a quarter, give or take"
        await renew(stage, gateway, SHOP, "shop-cert", pki)
    finally:
        await kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(objects))
        await stage.lab.open(PUBLIC, SYSTEM, "istio-ingressgateway", 80)
