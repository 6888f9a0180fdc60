"""`isthmus clusters join`: all that a cluster needs to be of the mesh, in the order in which each needs what is before.

What is there already is left as it is, so that a join that was cut off goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from isthmus.console.ca_clusters import citadels
from isthmus.console.install.applying import Role
from isthmus.console.install.reading import InvalidInstallation, Layer, Said, settings
from isthmus.console.install.settings import Installation
from isthmus.console.membership.checks import checks
from isthmus.console.membership.exchanged_roots import exchange_roots
from isthmus.console.membership.mesh import Member, Primary, until
from isthmus.console.membership.naming import check_name, is_of
from isthmus.console.membership.parts import Brought, Parts, look
from isthmus.console.membership.shared_root import check_key, share_root
from isthmus.console.membership.told import CannotGoOn, State, Steps, Told, done, doubtful, left
from isthmus.console.programs import INJECTOR
from isthmus.console.reader_access import NoReader, ReaderAccess
from isthmus.console.registration import CannotRegister, server_for_pods
from isthmus.kit.clock import SystemClock
from isthmus.model.holdings import CitadelHolding

_SKEW_S = 60.0


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a join."""

    network: str = ""  # empty: as settings say
    server: str = ""  # where Pilot finds the API server; empty: as we do, or by its own word
    life_s: float | None = None  # of the credential; None: without end
    ca: Path | None = None  # the directory with the mesh's root; None: Citadel's own in the primary
    image: str = ""  # empty: as settings say, or Pilot's
    injection_url: str = ""  # empty: as settings say
    said: Said = Said()  # settings of what is installed
    keeps_parts: bool = False  # whether others put them there
    force: bool = False  # whether fields of parts that others set are taken over
    exchanges_roots: bool = False  # with a cluster that has a root of its own
    skips_checks: bool = False
    limit_s: float = 120.0
    dry: bool = False


async def join(joining: Joining, member: Member, primaries: tuple[Primary, ...]) -> Steps:
    """Make the cluster one of the mesh, step by step. Raises `KubeError`, `CannotGoOn`."""
    yield await _reached(member, primaries)
    server = await _server(joining, member)
    for primary in primaries:
        await check_name(member, primary, server)
    choices = await installation(joining, member, primaries[0])
    has_parts = joining.keeps_parts or await member.has_pilot()
    if choices.injection_url and not joining.keeps_parts and has_parts:
        hint = "hint: without --injection-url: that Pilot injects its pods"
        raise CannotGoOn(f"{member.name} has a Pilot, and asks nobody elsewhere for sidecars ({hint})")
    parts = None if has_parts else await look(member.client, Role("remote", choices), force=joining.force)
    async for told in _equipped(joining, member, primaries, parts):
        yield told
    if choices.network:
        yield await _gateway(joining, member, choices)
    for primary in primaries:
        async for told in _registered(joining, member, primary, primaries, server):
            yield told
    if joining.dry:
        return
    for primary in primaries:
        yield await _followed(joining, member, primary)
    if parts is not None:
        yield await _ready(joining, member, parts)
    elif joining.keeps_parts:
        yield await _brought(joining, member)
    if not joining.skips_checks:
        async for told in checks(member, primaries):
            yield told


async def _equipped(
    joining: Joining, member: Member, primaries: tuple[Primary, ...], parts: Parts | None
) -> Steps:
    """What has to be there before Pilot is told of the cluster: a root, and parts unless others bring them."""
    is_new = parts is not None and parts.is_new_here
    if parts is not None:
        if is_new and joining.ca is None:
            await check_key(primaries[0])
        if is_new and not joining.dry:
            await parts.put_namespace()
        yield done("namespace", member.name, member.namespace, changed=is_new, dry=joining.dry)
    if joining.dry and is_new:
        yield done("root", member.name, "a CA of its own under the mesh's root", dry=True)
    else:
        async for told in _trusted(joining, member, primaries):
            yield told
    if parts is not None:
        yield await _put("parts", member, parts, joining)


async def _gateway(joining: Joining, member: Member, choices: Installation) -> Told:
    gateway = await look(member.client, Role("eastwest", choices), force=joining.force)
    told = await _put("gateway", member, gateway, joining)
    if not joining.dry:
        await gateway.finish()
    return told


async def _trusted(joining: Joining, member: Member, primaries: tuple[Primary, ...]) -> Steps:
    """By one root, or by two that are exchanged, where that is asked for and there are two."""
    root = await share_root(member, primaries[0], joining.ca, dry=joining.dry)
    if root.state is not State.LEFT or not joining.exchanges_roots:
        yield root
        return
    for primary in primaries:
        yield await exchange_roots(member, primary, dry=joining.dry)


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


async def installation(joining: Joining, member: Member, primary: Primary) -> Installation:
    """Parts of the same image as Pilot's, and of its trust domain unless a Citadel there is of one of its own."""
    said = await primary.choices()
    domain = said.get("trust_domain") or Installation().trust_domain
    own = next(
        (each.trust_domain for each in (await _citadels(member)) if each and each.trust_domain), domain
    )
    of_mesh = {"trustDomain": own, "pilotTrustDomain": domain if own != domain else ""}
    of_mesh |= {each: said[each] for each in ("image", "domain") if said.get(each)}
    flags = {
        "NAME": {"cluster": member.name},
        "--istio-namespace": {"namespace": member.namespace},
        "--network": {"network": joining.network} if joining.network else {},
        "--image": {"image": joining.image} if joining.image else {},
        "--injection-url": {"injectionURL": joining.injection_url} if joining.injection_url else {},
    }
    try:
        return settings(
            [Layer(f"Pilot in {primary.name}", of_mesh), *joining.said.layers],
            joining.said.sets,
            [Layer(flag, spec, is_flag=True) for flag, spec in flags.items()],
        )
    except InvalidInstallation as error:
        raise CannotGoOn("\n".join(error.lines)) from error


async def _citadels(member: Member) -> list[CitadelHolding | None]:
    return list((await citadels(member.client, member.namespace)).values())


async def _put(step: str, member: Member, parts: Parts, joining: Joining) -> Told:
    changed = parts.would_change if joining.dry else await parts.put()
    seen = f"{len(changed)} objects: {', '.join(changed[:4])}{'…' if len(changed) > 4 else ''}"
    return done(step, member.name, seen if changed else "all there", changed=bool(changed), dry=joining.dry)


async def _ready(joining: Joining, member: Member, parts: Parts) -> Told:
    """Once what was put there runs: then its webhooks are told to the API server, and not before."""
    hindered = await parts.hindrances(joining.limit_s)
    if hindered:
        seen = f"not all parts run, and webhooks wait for them: {'; '.join(hindered)}"
        return left("ready", member.name, seen, "mend that, and give the command again")
    changed = await parts.finish()
    if not await until(parts.are_believed, joining.limit_s):
        url = parts.role.installation.injection_url
        seen = (
            f"no Pilot that is called as {url} says has written the roots of its webhooks: pods wait for it"
        )
        return left("ready", member.name, seen, "docs/guides/injector-elsewhere.md")
    seen = f"its parts run; {', '.join(changed)}" if changed else "its parts run"
    return done("ready", member.name, seen, changed=bool(changed))


async def _brought(joining: Joining, member: Member) -> Told:
    """Once the parts of another hand run: Citadel among them waits for the CA that this join has brought."""
    parts = Brought(member.client, member.namespace)
    deployments = await parts.deployments()
    if not deployments:
        seen = "none of its parts is there yet: they are for another hand to bring"
        return doubtful("ready", member.name, seen, f"isthmus install remote --cluster {member.name}")
    hindered = await parts.hindrances(deployments, joining.limit_s)
    if hindered:
        mend = "mend that, and give the command again"
        return left("ready", member.name, f"not all parts run: {'; '.join(hindered)}", mend)
    if not await until(parts.are_believed, joining.limit_s):
        seen = "its parts run, and nobody tells the API server by which roots to believe their webhooks"
        return left("ready", member.name, seen, f"kubectl -n {member.namespace} logs -l {INJECTOR}")
    return done("ready", member.name, "its parts run", changed=False)


async def _registered(
    joining: Joining, member: Member, primary: Primary, primaries: tuple[Primary, ...], server: str
) -> Steps:
    if primary.is_secret:
        yield await _rights(joining, primary)
    reader = ReaderAccess(member.client, member.namespace, member.name)
    entry = await primary.entries.find()
    if entry is not None and entry.server == server and await is_of(entry, reader):
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


async def _rights(joining: Joining, primary: Primary) -> Told:
    """That Pilot there may read entries: it is allowed to where nothing says so yet."""
    seen = "Pilot may read Secrets of its own namespace"
    may = await primary.may_read_secrets()
    if may is None:
        seen = "whether Pilot may read Secrets there is not for us to ask: the step follow shows it"
    if may or may is None:
        return done("rights", primary.name, seen, changed=False)
    installation = Installation(cluster=primary.name, namespace=primary.namespace)
    rights = await look(primary.client, Role("remote-secrets", installation), force=joining.force)
    if not joining.dry:
        await rights.put()
        await rights.finish()
    return done("rights", primary.name, seen, dry=joining.dry)


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
