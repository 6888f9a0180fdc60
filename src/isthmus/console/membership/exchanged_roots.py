"""Two roots that stay: a cluster of a trust domain of its own, and a primary, believe each other by SPIFFE bundles."""

from __future__ import annotations

from isthmus.console.membership.mesh import Member, Primary
from isthmus.console.membership.told import Told, done, left
from isthmus.console.trust_exchange import CannotExchange, Mesh, exchange, may_exchange
from isthmus.kit.spiffe_bundle import InvalidBundle

STEP = "exchange"


async def exchange_roots(member: Member, primary: Primary, *, dry: bool) -> Told:
    """Have both believe each other, by the roots that they have now. Raises `KubeError`."""
    here, there = Mesh(primary.client, primary.namespace), Mesh(member.client, member.namespace)
    try:
        bundles = await may_exchange(here, there)
        before = [await here.others(), await there.others()]
        is_new = [bundles[1].text, bundles[0].text] != [
            before[0].get(bundles[1].trust_domain),
            before[1].get(bundles[0].trust_domain),
        ]
        if is_new and not dry:
            await exchange(here, there)
    except (CannotExchange, InvalidBundle) as error:
        return left(STEP, member.name, str(error), ways(member, primary))
    seen = " and ".join(each.trust_domain for each in bundles) + f" believe each other ({primary.name})"
    return done(STEP, member.name, seen, changed=is_new, dry=dry)


def ways(member: Member, primary: Primary) -> str:
    """The two ways in which workloads of two roots come to believe each other, as commands."""
    one, other = primary.context or primary.name, member.context or member.name
    again = f"isthmus clusters join {member.name} --context {other} --primary {one} --exchange-roots"
    return (
        f"one root for both: isthmus ca rotate (docs/guides/rotate-roots.md); or each keeps its own, where their "
        f"trust domains are two (isthmus install primary --trust-domain): {again} (docs/guides/trust-other-meshes.md)"
    )
