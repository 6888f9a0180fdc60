"""The second half of the story: the mesh is used, broken and mended."""

from __future__ import annotations

from isthmus.console.demo.chapters_build import synced
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage, only

_VISITS = 400
# Half of 400 fair choices: 200, give or take 4 standard deviations of 10, which one run in 15,000 exceeds.
_TOLERANCE = 40


async def routing(stage: Stage) -> None:
    """All to v1; jason to v3; half and half; back."""
    stage.chapter("7. Routing across the clusters")
    await _apply(stage, "destination-rule-all")
    await _apply(stage, "virtual-service-all-v1")
    held = await stage.steady(only(Stars.NONE), times=30)
    stage.claim("all traffic goes to v1", "30 visits in a row", held=held, seen=_always(held, "no stars"))

    await _apply(stage, "virtual-service-reviews-jason-v3")
    jason = await stage.steady(only(Stars.RED), user="jason", times=20)
    others = await stage.steady(only(Stars.NONE), times=20)
    stage.claim(
        "user jason is sent to v3 on premises, everybody else to v1",
        "20 visits in a row as each",
        held=jason and others,
        seen=f"jason: {_always(jason, 'red stars')}; others: {_always(others, 'no stars')}",
    )
    await _half_and_half(stage)
    await stage.kubectl(PUBLIC).run(
        "delete", "virtualservice", "productpage", "reviews", "ratings", "details"
    )
    back = await stage.steady(only(*Stars), times=1) and await stage.visitor.until(Stars.BLACK, limit_s=15)
    stage.claim(
        "without rules all versions answer again",
        "a page with black stars",
        held=bool(back),
        seen="black stars" if back else "none within 15 s",
    )


def _always(held: bool, what: str) -> str:
    return f"{what} each time" if held else f"not always {what}"


async def _half_and_half(stage: Stage) -> None:
    await _apply(stage, "virtual-service-reviews-50-v3")
    await stage.visitor.until(Stars.RED, limit_s=15)
    counts = await stage.visitor.visits(_VISITS)
    red, none = counts[Stars.RED], counts[Stars.NONE]
    half = _VISITS // 2
    stage.claim(
        "half of the traffic goes to v1 in public, half to v3 in private",
        f"{_VISITS} visits, asked {half}/{half}, allowed ±{_TOLERANCE}",
        held=abs(red - half) <= _TOLERANCE and red + none == _VISITS,
        seen=f"v1 {none}, v3 {red}",
    )


async def cut_link(stage: Stage) -> None:
    """The link is cut: reviews go on from the endpoints left. It heals: they come back."""
    stage.chapter("8. The link is cut, and heals")
    stage.say("isthmus lab link cut")
    await stage.lab.link("cut")
    begun = stage.clock.monotonic()
    total = failed = row = 0
    last_failure_s = slowest_s = 0.0
    while row < 40 and stage.clock.monotonic() - begun < 60:
        asked = stage.clock.monotonic()
        page = await stage.visitor.visit()
        slowest_s = max(slowest_s, stage.clock.monotonic() - asked)
        total += 1
        row += 1
        if not page.complete:
            failed, row = failed + 1, 0
            last_failure_s = stage.clock.monotonic() - begun
    stage.claim(
        "with the link cut, reviews go on from the endpoints left",
        "visits until 40 in a row are complete",
        held=row >= 40,
        seen=f"{failed} of {total} pages without reviews"
        + (f", the last {last_failure_s:.1f} s after the cut" if failed else "")
        + f"; the slowest took {slowest_s:.1f} s",
    )
    stage.say("isthmus lab link heal")
    await stage.lab.link("heal")
    healed_s = await stage.visitor.until(Stars.RED, limit_s=60)
    stage.claim(
        "healed, on premises serves again",
        "a page with red stars",
        held=healed_s is not None,
        seen=f"{healed_s:.1f} s after the heal" if healed_s is not None else "not within 60 s",
    )


async def kill_pilot(stage: Stage) -> None:
    """Pilot is killed: traffic goes on. It comes back elsewhere: both clusters find it."""
    stage.chapter("9. Pilot is killed, and comes back")
    kubectl = stage.kubectl(PUBLIC)
    system = ("-n", "istio-system")
    stage.say("kubectl scale deployment istio-pilot --replicas=0; kubectl delete pod -l istio=pilot --force")
    await kubectl.run("scale", "deployment", "istio-pilot", "--replicas=0", *system)
    await kubectl.run("delete", "pod", "-l", "istio=pilot", "--force", "--grace-period=0", *system)
    pages = [await stage.visitor.visit() for _ in range(60)]
    complete = sum(page.complete for page in pages)
    red = sum(page.stars is Stars.RED for page in pages)
    stage.claim(
        "without Pilot, traffic goes on, across the link too",
        "60 visits while no Pilot runs",
        held=complete == 60 and red > 0,
        seen=f"{complete} of 60 complete, {red} served on premises",
    )
    await kubectl.run("scale", "deployment", "istio-pilot", "--replicas=1", *system)
    await kubectl.run("rollout", "status", "deployment/istio-pilot", "--timeout=60s", *system)
    address = "{.items[0].status.podIP}"
    pilot = await kubectl.run("get", "pods", "-l", "istio=pilot", *system, "-o", f"jsonpath={address}")

    async def moved() -> bool:
        path = "jsonpath={.subsets[0].addresses[0].ip}"
        return (
            await stage.kubectl(PRIVATE).run("get", "endpoints", "istio-pilot", *system, "-o", path) == pilot
        )

    stage.claim(
        "the private cluster's Endpoints of Pilot follow it to its new address",
        "kubectl get endpoints istio-pilot on premises",
        held=await stage.until(moved, 30),
        seen=pilot,
    )
    await synced(stage, "all proxies are in sync with the new Pilot", limit_s=60)


async def _apply(stage: Stage, name: str) -> None:
    await stage.kubectl(PUBLIC).run(
        "apply", "-f", str(stage.samples / "bookinfo" / "networking" / f"{name}.yaml")
    )
    stage.say(f"kubectl apply -f {name}.yaml")
