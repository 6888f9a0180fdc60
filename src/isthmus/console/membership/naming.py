"""A name in the mesh is one cluster's, and a cluster has one: else endpoints count twice, or another's are lost."""

from __future__ import annotations

from isthmus.console.membership.mesh import Member, Primary
from isthmus.console.membership.told import CannotGoOn
from isthmus.console.reader_access import ReaderAccess
from isthmus.kube.account_token import read_token
from isthmus.kube.kubeconfig import Access, Token


async def check_name(member: Member, primary: Primary, server: str) -> None:
    """Raises `CannotGoOn` where Pilot there knows the cluster by another name, or another by this one; `KubeError`."""
    reader = ReaderAccess(member.client, member.namespace, member.name)
    for other in await reader.other_names(primary.name):
        leave = f"isthmus clusters leave {other} --context {member.context or 'CONTEXT'}"
        raise CannotGoOn(
            f"Pilot in {primary.name} reads {member.context or 'this cluster'} already, as {other} "
            f"(hint: {leave} first, or join it as {other})"
        )
    entry = await primary.entries.find()
    if entry is not None and entry.server != server and not await is_of(entry, reader):
        hint = f"hint: another name, or isthmus clusters leave {member.name} first, with --dead where that one is gone"
        raise CannotGoOn(f"by the name {member.name} Pilot in {primary.name} reads {entry.server} ({hint})")


async def is_of(entry: Access, reader: ReaderAccess) -> bool:
    """Whether an entry shows a credential of this cluster that was not taken back; Pilot may have renewed it since."""
    if not isinstance(entry.credentials, Token):
        return False
    said = read_token(str.__str__(entry.credentials.token))
    if said is None or said.bond is None:
        return False
    return said.bond.name in {each["metadata"]["name"] for each in await reader.secrets()}
