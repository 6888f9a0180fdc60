"""Certificates are renewed under load without a failed request, and calls go on while they cannot be."""

from __future__ import annotations

import json

from e2e.conftest import Rules
from e2e.mesh_views import ENVOYS, KILL_AGENT, in_sidecar
from e2e.workloads import sample
from isthmus.console.certificate_warnings import roots_of, warnings
from isthmus.console.demo.page import Page
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.held_certificates import HeldInCluster, held_in
from isthmus.model.findings import Severity

SYSTEM = ("-n", "istio-system")
LIFE_S = 60
ENVIRONMENT = {"SECRET_TTL": f"{LIFE_S}s", "SECRET_GRACE_PERIOD_RATIO": "0.08"}
PROXY = {
    "name": "istio-proxy",
    "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
}
SHORT = json.dumps({"spec": {"template": {"spec": {"containers": [PROXY]}}}})


async def holds(stage: Stage, cluster: str) -> HeldInCluster:
    """What `isthmus ca status` is told in a cluster."""
    (found,) = await held_in(stage.lab.kubeconfig(cluster), (), "istio-system")
    return found


async def test_those_who_hold_certificates_say_so_in_both_clusters(stage: Stage) -> None:
    clusters = [await holds(stage, each) for each in (PUBLIC, PRIVATE)]
    assert [each.name for each in clusters] == [PUBLIC, PRIVATE]
    assert {*roots_of(clusters[0])} == {*roots_of(clusters[1])}
    for cluster in clusters:
        said = {each.pod.rpartition("-v")[0]: each.said for each in cluster.proxies}
        assert "reviews" in said
        assert all(each is not None and each.chain and each.renews for each in said.values())
        # Each is of the CA of its own cluster, which is of the one root.
        (citadel,) = (each.said for each in cluster.citadels if each.said)
        assert {each.chain[1].sha256 for each in said.values() if each} == {citadel.chain[0].sha256}
        assert all(not each.error for each in cluster.published)
    assert {each.cluster for each in clusters[0].connected} >= {PUBLIC, PRIVATE}
    found = warnings(clusters, stage.clock.now())
    assert not [each for each in found if each.severity is Severity.ERROR]


async def issued(stage: Stage) -> int:
    """Certificates that the private cluster's Citadel has issued to reviews."""
    log = await stage.kubectl(PRIVATE).run("logs", "-n", "istio-system", "deployment/istio-citadel")
    return sum("certificate issued" in line and "sa/bookinfo-reviews" in line for line in log.splitlines())


async def _without_citadel_for_half_a_life(stage: Stage) -> list[Page]:
    """What was visited until half of the life of its certificate was over, which reviews-v3 could not renew."""
    private = stage.kubectl(PRIVATE)
    await private.run("scale", "deployment/istio-citadel", "--replicas=0", *SYSTEM)
    await private.run("wait", "pod", "-l", "istio=citadel", "--for=delete", "--timeout=60s", *SYSTEM)
    pages: list[Page] = []
    left: list[float] = []
    end = stage.clock.monotonic() + 90
    while not left and stage.clock.monotonic() < end:
        pages += [await stage.visitor.visit("jason") for _ in range(10)]
        said = await private.run("logs", "deployment/reviews-v3", "-c", "istio-proxy", "--tail=5")
        complaints = [json.loads(line) for line in said.splitlines() if "certificate not renewed" in line]
        left = [each["seconds_left"] for each in complaints if each["seconds_left"] < LIFE_S / 2]
    assert left, "it could renew its certificate"
    return pages


async def test_certificates_rotate_under_load_and_calls_go_on_without_citadel_for_half_a_life(
    stage: Stage, rules: Rules
) -> None:
    private = stage.kubectl(PRIVATE)
    await private.run("patch", "deployment", "reviews-v3", "--type=strategic", "-p", SHORT)
    await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")
    for name in ("destination-rule-all", "virtual-service-reviews-jason-v3"):
        await rules(*sample(f"networking/{name}"))
    try:
        assert await stage.steady(lambda page: page.node == "k8s-demo", user="jason", times=5, limit_s=60)
        before = await issued(stage)
        pages = []
        end = stage.clock.monotonic() + 120
        while await issued(stage) < before + 3 and stage.clock.monotonic() < end:
            pages += [await stage.visitor.visit("jason") for _ in range(10)]
        assert await issued(stage) >= before + 3
        pages += await _without_citadel_for_half_a_life(stage)
        assert all(page.node == "k8s-demo" for page in pages)
    finally:
        await private.run("scale", "deployment/istio-citadel", "--replicas=1", *SYSTEM)
        await private.run("rollout", "undo", "deployment/reviews-v3")
        await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")


async def test_a_pod_that_starts_without_citadel_waits_says_why_and_comes_up_with_it(stage: Stage) -> None:
    private = stage.kubectl(PRIVATE)
    await private.run("scale", "deployment/istio-citadel", "--replicas=0", *SYSTEM)
    await private.run("wait", "pod", "-l", "istio=citadel", "--for=delete", "--timeout=60s", *SYSTEM)
    try:
        await private.run("rollout", "restart", "deployment/reviews-v3")

        async def waits() -> bool:
            pods = (await private.json("get", "pods", "-l", "app=reviews"))["items"]
            newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
            if len(pods) < 2 or newest["status"].get("phase") != "Running":
                return False
            ready = {each["name"]: each["ready"] for each in newest["status"]["containerStatuses"]}
            log = await private.run("logs", newest["metadata"]["name"], "-c", "istio-proxy")
            reasons = ("no certificate yet", "citadel not reached", "istio-citadel.istio-system")
            return not ready["istio-proxy"] and all(reason in log for reason in reasons)

        assert await stage.until(waits, 60)
        assert (await stage.visitor.visit()).complete
    finally:
        await private.run("scale", "deployment/istio-citadel", "--replicas=1", *SYSTEM)
    await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=90s")


async def test_an_agent_that_is_killed_takes_its_envoy_along_and_the_pod_heals(stage: Stage) -> None:
    private = stage.kubectl(PRIVATE)
    before = (await in_sidecar(stage, ENVOYS)).split()
    await in_sidecar(stage, KILL_AGENT)

    async def healed() -> bool:
        pods = (await private.json("get", "pods", "-l", "app=reviews"))["items"]
        if not all(each["ready"] for pod in pods for each in pod["status"]["containerStatuses"]):
            return False
        now = (await in_sidecar(stage, ENVOYS)).split()
        return len(now) == 1 and now != before

    assert await stage.until(healed, 60)
    assert await stage.steady(lambda page: page.complete, times=5, limit_s=30)
