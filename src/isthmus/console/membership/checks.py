"""What `isthmus check` says of the clusters that a join has brought together: what no step of it could see or mend."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from isthmus.console.check.read import Reading
from isthmus.console.check.table import CHECKS
from isthmus.console.check.text import summed
from isthmus.console.check.verdict import Checked, checked
from isthmus.console.check.verdict import State as Verdict
from isthmus.console.membership.mesh import Member, Primary
from isthmus.console.membership.told import State, Steps, Told, done
from isthmus.kit.clock import SystemClock
from isthmus.kube.client import Client

_STEP = "check"
_STATES = {Verdict.ERROR: State.LEFT, Verdict.WARNING: State.DOUBTFUL}


async def checks(member: Member, primaries: Sequence[Primary]) -> Steps:
    """What is wrong or doubtful, a step each, and then how much is well."""
    reading = Reading(member.namespace, before_install=False, clock=SystemClock())
    places = [(each.context, each.client.access) for each in primaries]
    places.append((member.context, member.client.access))
    read = [reading.cluster(context, Client(access)) for context, access in places]
    found = tuple(checked(CHECKS, await asyncio.gather(*read), before_install=False))
    for each in (one for verdict in _STATES for one in found if one.state is verdict):
        yield _told(each)
    yield done(_STEP, member.name, summed(found), changed=False)


def _told(each: Checked) -> Told:
    return Told(
        step=_STEP,
        cluster=each.cluster,
        state=_STATES[each.state],
        seen=f"{each.check}: {each.seen}",
        why=each.why,
        mend=each.mend,
    )
