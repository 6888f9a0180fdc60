"""Certificates are renewed under load without a failed request, and identities stay."""

from __future__ import annotations

import re

from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

SHORT = '{"spec":{"template":{"spec":{"containers":[{"name":"istio-proxy","env":[{"name":"SECRET_TTL","value":"60s"},{"name":"SECRET_GRACE_PERIOD_RATIO","value":"0.08"}]}]}}}}'


async def issued(stage: Stage) -> int:
    """Certificates that the private cluster's Citadel has issued to reviews."""
    log = await stage.kubectl(PRIVATE).run("logs", "-n", "istio-system", "deployment/istio-citadel")
    return len(re.findall("certificate issued.*bookinfo-reviews", log))


async def test_certificates_rotate_under_load_without_a_failed_request(stage: Stage) -> None:
    private = stage.kubectl(PRIVATE)
    await private.run("patch", "deployment", "reviews-v3", "--type=strategic", "-p", SHORT)
    await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")
    for name in ("destination-rule-all", "virtual-service-reviews-jason-v3"):
        path = stage.samples / "bookinfo" / "networking" / f"{name}.yaml"
        await stage.kubectl(PUBLIC).run("apply", "-f", str(path))
    try:
        assert await stage.steady(lambda page: page.node == "k8s-demo", user="jason", times=5, limit_s=60)
        before = await issued(stage)
        pages = []
        while await issued(stage) < before + 3 and len(pages) < 600:
            pages += [await stage.visitor.visit("jason") for _ in range(10)]
        assert await issued(stage) >= before + 3
        assert all(page.node == "k8s-demo" for page in pages)
    finally:
        await stage.kubectl(PUBLIC).run("delete", "virtualservice", "reviews")
        await private.run("rollout", "undo", "deployment/reviews-v3")
        await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")
