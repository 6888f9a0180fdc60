"""`isthmus clusters rotate`: another credential for a cluster, the old one taken back once no Pilot shows it."""

from __future__ import annotations

from functools import partial

from isthmus.console.membership.mesh import Member, Primary, until
from isthmus.console.membership.told import CannotGoOn, Steps, done, left
from isthmus.console.reader_access import NoReader, ReaderAccess, given_to
from isthmus.kube.kubeconfig import Access


async def rotate(
    member: Member, primaries: tuple[Primary, ...], life_s: float | None, limit_s: float
) -> Steps:
    """Make before break, in all these clusters. Raises `KubeError`, `CannotGoOn`: then nothing was taken back."""
    entries = {primary.name: await _entry(primary, member.name) for primary in primaries}
    reader = ReaderAccess(member.client, member.namespace, member.name)
    others = given_to(*await reader.secrets()) - set(entries)
    try:
        given = await reader.give(life_s, anew=True, to=tuple(entries))
    except NoReader as error:
        raise CannotGoOn(str(error)) from error
    yield done("credential", member.name, f"a token bound to secret {given.secret}")
    for primary in primaries:
        await primary.entries.put(entries[primary.name].server, given)
        yield done("entry", primary.name, primary.entries.place)
    for primary in primaries:
        if not await until(partial(_shows, primary, member.name, given.secret), limit_s):
            said = next((each for each in await primary.of(member.name) if each), None)
            why = (said["replacing"] or said["error"] or said["state"]) if said else "Pilot does not know it"
            raise CannotGoOn(
                f"Pilot in {primary.name} has not taken the new credential over: {why} (hint: nothing was "
                f"taken back; isthmus clusters list --context {primary.context or primary.name}, then again)"
            )
        yield done("follow", primary.name, "Pilot reads the cluster by the new credential", changed=False)
    if others:
        seen = f"the old credential is also that of Pilot in {', '.join(sorted(others))}"
        mend = f"isthmus clusters rotate {member.name} with --primary for each of them"
        yield left("revoke", member.name, seen, mend)
        return
    ended = await reader.take_back(all_but=given.secret)
    seen = f"ended: {', '.join(ended)}" if ended else "there was no other"
    yield done("revoke", member.name, seen, changed=bool(ended))


async def _entry(primary: Primary, cluster: str) -> Access:
    entry = await primary.entries.find()
    if entry is None:
        hint = f"hint: isthmus clusters join {cluster}"
        raise CannotGoOn(f"{primary.name} has no {primary.entries.place} with {cluster} ({hint})")
    return entry


async def _shows(primary: Primary, cluster: str, secret: str) -> bool:
    said = await primary.of(cluster)
    return all(
        each is not None
        and each["state"] == "synced"
        and not each["replacing"]
        and each["access"]["bound_to"] == f"Secret {secret}"
        for each in said
    )
