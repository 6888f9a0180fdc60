"""`isthmus clusters leave`: the way back of a join, endpoints first, also for a cluster that does not answer."""

from __future__ import annotations

import asyncio

import msgspec

from isthmus.api.core.secret import Secret
from isthmus.ca.store import SECRET
from isthmus.console.ca_secret import SECRETS
from isthmus.console.install.applying import Role
from isthmus.console.install.settings import Installation
from isthmus.console.membership.mesh import Member, Primary, until
from isthmus.console.membership.parts import take
from isthmus.console.membership.shared_root import JOINED
from isthmus.console.membership.told import Steps, Told, done, doubtful, left
from isthmus.console.reader_access import ReaderAccess, given_to
from isthmus.console.trust_exchange import CannotExchange, Mesh
from isthmus.discovery.kept_tokens import NAME as KEPT
from isthmus.discovery.kept_tokens import keys_of
from isthmus.kube.errors import KubeError, NotFound

_TOLD_S = 1.0
"""After so long Pilot has sent what it knows: only then do its proxies' states speak of it."""
_IN_SYNC = {"SYNCED", "NOT SENT"}


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a leave."""

    is_dead: bool = False  # whether nothing is to be tried in the cluster itself
    keeps_parts: bool = False
    limit_s: float = 60.0
    dry: bool = False


async def leave(leaving: Leaving, member: Member, primaries: tuple[Primary, ...]) -> Steps:
    """Take the cluster out of the mesh, step by step. Raises `KubeError`, `CannotGoOn`."""
    for primary in primaries:
        was_there = await primary.entries.find() is not None
        if was_there and not leaving.dry:
            await primary.entries.remove()
        yield done("entry", primary.name, primary.entries.place, changed=was_there, dry=leaving.dry)
    if not leaving.dry:
        for primary in primaries:
            yield await _forgotten(leaving, member, primary)
    for primary in primaries:
        yield await _kept(leaving, member, primary)
    why = "it was said to be dead" if leaving.is_dead else await member.answers()
    if why:
        yield _cannot(member, primaries, why)
        return
    async for told in _within(leaving, member, primaries):
        yield told


async def _forgotten(leaving: Leaving, member: Member, primary: Primary) -> Told:
    """Once Pilot tells of no endpoint there any more, and all proxies have heard it."""
    if not await primary.has_pilot():
        seen = (
            "no Pilot runs there: proxies keep its endpoints until one does, which will not know the cluster"
        )
        return doubtful("drain", primary.name, seen, "isthmus check")

    async def is_gone() -> bool:
        return not any(await primary.of(member.name))

    async def is_told() -> bool:
        proxies = [each for page in await primary.pages("/debug/proxies") for each in page]
        states = {one["state"] for each in proxies for one in each["types"].values()}
        return states <= _IN_SYNC

    if not await until(is_gone, leaving.limit_s):
        said = next((each for each in await primary.of(member.name) if each), None)
        seen = f"Pilot still has it from {said['source'] if said else 'another place'}"
        return left("drain", primary.name, seen, "take that entry out, too: isthmus clusters list")
    await asyncio.sleep(_TOLD_S)
    if not await until(is_told, leaving.limit_s):
        seen = "its endpoints are gone; not all proxies have heard so"
        return left("drain", primary.name, seen, "isthmus proxy status")
    return done("drain", primary.name, "its endpoints are gone, and all proxies know", changed=False)


async def _kept(leaving: Leaving, member: Member, primary: Primary) -> Told:
    """Forget the newest tokens for it, which Pilots kept."""
    try:
        found = msgspec.convert(await primary.client.get(SECRETS, primary.namespace, KEPT), Secret)
    except NotFound:
        return done("token", primary.name, "none is kept", changed=False)
    keys = keys_of(member.name, found.data)
    if keys and not leaving.dry:
        await primary.client.merge(SECRETS, primary.namespace, KEPT, {"data": dict.fromkeys(keys)})
    return done("token", primary.name, f"in secret {KEPT}", changed=bool(keys), dry=leaving.dry)


def _cannot(member: Member, primaries: tuple[Primary, ...], why: str) -> Told:
    flags = "".join(f" --primary {each.context}" for each in primaries if each.context)
    context = f" --context {member.context}" if member.context else " --context CONTEXT"
    seen = f"what is in it stays, also the account by which Pilot read it: {why}"
    mend = f"isthmus clusters leave {member.name}{context}{flags} (once it is back)"
    return left("parts", member.name, seen, mend)


async def _within(leaving: Leaving, member: Member, primaries: tuple[Primary, ...]) -> Steps:
    reader = ReaderAccess(member.client, member.namespace, member.name)
    secrets = await reader.secrets()
    if others := given_to(*secrets) - {primary.name for primary in primaries}:
        seen = f"Pilot in {', '.join(sorted(others))} still reads it"
        mend = f"isthmus clusters leave {member.name} with --primary for each of them"
        yield left("revoke", member.name, seen, mend)
        return
    found = [str(each["metadata"]["name"]) for each in secrets]
    if not leaving.dry:
        await reader.take_back()
    seen = ", ".join(f"secret {name}" for name in found) or "no credential is there"
    yield done("revoke", member.name, seen, changed=bool(found), dry=leaving.dry)
    for primary in primaries:
        if (believed := await _believed(member, primary)) is not None:
            yield believed
    if leaving.keeps_parts or await member.has_pilot():
        why = "as was asked for" if leaving.keeps_parts else "a Pilot of its own runs there"
        yield done("parts", member.name, f"stay, {why}", changed=False)
        return
    for step, role in (("gateway", "eastwest"), ("parts", "remote")):
        installation = Installation(cluster=member.name, namespace=member.namespace)
        taken = await take(member.client, Role(role, installation), dry=leaving.dry)
        if taken is not None:
            kept = f"; what stays: {', '.join(taken.staying)}" if taken.staying else ""
            seen = f"{len(taken.gone)} objects{kept}"
            yield done(step, member.name, seen, changed=bool(taken.gone), dry=leaving.dry)
        elif role == "remote":
            seen = "stay, or are none: no join, and no isthmus install remote --apply, put them there"
            yield done(step, member.name, seen, changed=False)
    yield await _root(leaving, member)


async def _believed(member: Member, primary: Primary) -> Told | None:
    """That roots which were exchanged still count: who else relies on them is not for a leave to know."""
    here, there = Mesh(primary.client, primary.namespace), Mesh(member.client, member.namespace)
    try:
        believed = (await there.own()).trust_domain in await here.others()
    except CannotExchange:
        return None
    if not believed:
        return None
    contexts = f"{primary.context or primary.name} {member.context or member.name}"
    seen = f"{primary.name} and it still believe each other's roots"
    return doubtful("trust", member.name, seen, f"isthmus trust revoke {contexts}")


async def _root(leaving: Leaving, member: Member) -> Told:
    try:
        found = msgspec.convert(await member.client.get(SECRETS, member.namespace, SECRET), Secret)
    except NotFound:
        return done("root", member.name, "it has no CA of the mesh", changed=False)
    if JOINED not in found.metadata.labels:
        return done("root", member.name, f"secret {SECRET} stays: no join made it", changed=False)
    try:
        if not leaving.dry:
            await member.client.delete(SECRETS, member.namespace, SECRET)
    except KubeError as error:
        mend = f"kubectl delete secret {SECRET} -n {member.namespace}"
        return left("root", member.name, str(error), mend)
    return done("root", member.name, f"secret {SECRET}", dry=leaving.dry)
