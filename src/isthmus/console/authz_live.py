"""Whether workloads of a running mesh let a call in, by what their proxies hold."""

from __future__ import annotations

import asyncio

from isthmus.console.authz import Checker
from isthmus.console.authz_called import Asking, called
from isthmus.console.authz_verdicts import Said
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain_live import FromProxies, asked_proxy, pod_of
from isthmus.console.live_objects import Live

_MOST_ASKED = 16


async def check_live(live: Live, asking: Asking) -> Said:
    """What becomes of the call at each workload that is meant, of some at most. Raises `WrongCall`."""
    mesh = draw([], {each: found.objects for each, found in live.items()}).generation.mesh
    pods = [pod_of(each.workload) for each in called(mesh, asking.to)][:_MOST_ASKED]
    answers = await asyncio.gather(*(asked_proxy(live, each) for each in pods))
    dumps = {each: answer for each, answer in zip(pods, answers, strict=True) if answer is not None}
    return Checker(FromProxies(mesh, dumps)).check(asking)
