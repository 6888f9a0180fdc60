"""`isthmus clusters join`: all that a cluster needs to be of the mesh, in the order in which each needs what is before.

What is there already is left as it is, so that a join that was cut off goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from isthmus.console.installation import Documents, Installation, documents
from isthmus.console.membership.applied import find, put
from isthmus.console.membership.mesh import Member, Primary, until
from isthmus.console.membership.shared_root import share_root
from isthmus.console.membership.told import CannotGoOn, Steps, Told, done, left
from isthmus.console.reader_access import NoReader, ReaderAccess
from isthmus.console.registration import CannotRegister, server_for_pods
from isthmus.kit.clock import SystemClock
from isthmus.kube.account_token import read_token
from isthmus.kube.kubeconfig import Access, Token

_SKEW_S = 60.0


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a join."""

    network: str = ""
    server: str = ""  # where Pilot finds the API server; empty: as we do, or by its own word
    life_s: float | None = None  # of the credential; None: without end
    ca: Path | None = None  # the directory with the mesh's root; None: Citadel's own in the primary
    image: str = ""  # empty: Pilot's
    keeps_parts: bool = False  # whether others put them there
    limit_s: float = 120.0
    dry: bool = False


async def join(joining: Joining, member: Member, primaries: tuple[Primary, ...]) -> Steps:
    """Make the cluster one of the mesh, step by step. Raises `KubeError`, `CannotGoOn`."""
    yield await _reached(member, primaries)
    server = await _server(joining, member)
    has_parts = joining.keeps_parts or await member.has_pilot()
    choices = await _installation(joining, member, primaries[0])
    parts = documents("remote", choices)
    if not has_parts:
        namespace = [each for each in parts if each["kind"] == "Namespace"]
        yield _put("namespace", member, await put(member.client, namespace, dry=joining.dry), joining)
    if joining.dry and await find(member.client, parts[0]) is None:
        yield done("root", member.name, "a CA of its own under the mesh's root", dry=True)
    else:
        yield await share_root(member, primaries[0], joining.ca, dry=joining.dry)
    if not has_parts:
        yield _put("parts", member, await put(member.client, parts, dry=joining.dry), joining)
    if joining.network:
        gateway = documents("eastwest", choices)
        yield _put("gateway", member, await put(member.client, gateway, dry=joining.dry), joining)
    for primary in primaries:
        async for told in _registered(joining, member, primary, primaries, server):
            yield told
    if not joining.dry:
        for primary in primaries:
            yield await _followed(joining, member, primary)


async def _server(joining: Joining, member: Member) -> str:
    try:
        return await server_for_pods(member.client, joining.server)
    except CannotRegister as error:
        raise CannotGoOn(str(error)) from error


async def _reached(member: Member, primaries: tuple[Primary, ...]) -> Told:
    """That all answer, that the name is free, and that clocks agree."""
    if why := await member.answers():
        raise CannotGoOn(f"{member.name} ({member.client.access.server}): {why}")
    for primary in primaries:
        if primary.client.access.server == member.client.access.server:
            raise CannotGoOn(
                f"{member.context or member.name} is the cluster of Pilot itself, {primary.name}"
            )
        if primary.name == member.name:
            hint = "hint: give this one another name"
            raise CannotGoOn(f"Pilot's own cluster is called {member.name} already ({hint})")
    ahead_s = (member.client.told_at or SystemClock().now()) - SystemClock().now()
    if abs(ahead_s) > _SKEW_S:
        hint = "hint: its clock must be right first: tokens and certificates begin and end by it"
        raise CannotGoOn(f"the clock of {member.name} is {ahead_s:+.0f} s from this machine's ({hint})")
    names = ", ".join(primary.name for primary in primaries)
    seen = f"{member.client.access.server} answers; Pilot runs in {names}"
    return done("reach", member.name, seen, changed=False)


async def _installation(joining: Joining, member: Member, primary: Primary) -> Installation:
    """Parts of the same image and trust domain as Pilot's."""
    said = await primary.choices()
    usual = Installation(cluster=member.name, namespace=member.namespace, network=joining.network)
    return msgspec.structs.replace(
        usual,
        image=joining.image or said.get("image") or usual.image,
        trust_domain=said.get("trust_domain") or usual.trust_domain,
        domain=said.get("domain") or usual.domain,
    )


def _put(step: str, member: Member, changed: list[str], joining: Joining) -> Told:
    seen = f"{len(changed)} objects: {', '.join(changed[:4])}{'…' if len(changed) > 4 else ''}"
    return done(step, member.name, seen if changed else "all there", changed=bool(changed), dry=joining.dry)


async def _registered(
    joining: Joining, member: Member, primary: Primary, primaries: tuple[Primary, ...], server: str
) -> Steps:
    if primary.is_secret:
        rights = _rights(primary)
        changed = await put(primary.client, rights, dry=joining.dry)
        seen = "Pilot may read Secrets of its own namespace"
        yield done("rights", primary.name, seen, changed=bool(changed), dry=joining.dry)
    reader = ReaderAccess(member.client, member.namespace, member.name)
    if await _is_good(await primary.entries.find(), server, reader):
        yield done("entry", primary.name, primary.entries.place, changed=False)
        return
    if joining.dry:
        yield done("entry", primary.name, f"{primary.entries.place}: {server}", dry=True)
        return
    try:
        given = await reader.give(joining.life_s, to=tuple(each.name for each in primaries))
    except NoReader as error:
        raise CannotGoOn(str(error)) from error
    await primary.entries.put(server, given)
    seen = f"{primary.entries.place}: {server}, by a token bound to secret {given.secret}"
    yield done("entry", primary.name, seen)


def _rights(primary: Primary) -> Documents:
    return documents("remote-secrets", Installation(cluster=primary.name, namespace=primary.namespace))


async def _is_good(entry: Access | None, server: str, reader: ReaderAccess) -> bool:
    """Whether an entry leads there by a credential that was not taken back; that Pilot has renewed it since is well."""
    if entry is None or entry.server != server or not isinstance(entry.credentials, Token):
        return False
    said = read_token(str.__str__(entry.credentials.token))
    if said is None or said.bond is None:
        return False
    return said.bond.name in {each["metadata"]["name"] for each in await reader.secrets()}


async def _followed(joining: Joining, member: Member, primary: Primary) -> Told:
    async def is_synced() -> bool:
        said = await primary.of(member.name)
        return all(each is not None and each["state"] == "synced" for each in said)

    if await until(is_synced, joining.limit_s):
        objects = next(each["objects"] for each in await primary.of(member.name) if each)
        seen = f"Pilot in {primary.name} follows it: {objects} objects"
        return done("follow", primary.name, seen, changed=False)
    said = next((each for each in await primary.of(member.name) if each is not None), None)
    why = f"{said['state']}: {said['error']}" if said else "Pilot does not know it"
    return left("follow", primary.name, why, "isthmus clusters list, isthmus check")
