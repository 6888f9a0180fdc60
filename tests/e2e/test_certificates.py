"""Certificates are renewed under load without a failed request, and identities stay."""

from __future__ import annotations

import json

from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

ENVIRONMENT = {"SECRET_TTL": "60s", "SECRET_GRACE_PERIOD_RATIO": "0.08"}
PROXY = {
    "name": "istio-proxy",
    "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
}
SHORT = json.dumps({"spec": {"template": {"spec": {"containers": [PROXY]}}}})


async def issued(stage: Stage) -> int:
    """Certificates that the private cluster's Citadel has issued to reviews."""
    log = await stage.kubectl(PRIVATE).run("logs", "-n", "istio-system", "deployment/istio-citadel")
    return sum("certificate issued" in line and "sa/bookinfo-reviews" in line for line in log.splitlines())


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
        end = stage.clock.monotonic() + 120
        while await issued(stage) < before + 3 and stage.clock.monotonic() < end:
            pages += [await stage.visitor.visit("jason") for _ in range(10)]
        assert await issued(stage) >= before + 3
        assert all(page.node == "k8s-demo" for page in pages)
    finally:
        await stage.kubectl(PUBLIC).run("delete", "virtualservice", "reviews")
        await private.run("rollout", "undo", "deployment/reviews-v3")
        await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")
