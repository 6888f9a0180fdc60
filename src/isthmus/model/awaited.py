"""What a mesh lacks that is on its way, since it was only just found out that it is needed.

Of a Pilot that starts proxies would be told as if it were not there, and otherwise a moment later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from isthmus.api.resource import Ref
from isthmus.model.credential_key import CredentialKey
from isthmus.model.mesh import Mesh
from isthmus.model.resolved_host import ref_of_host


def awaited(mesh: Mesh, known: Collection[Ref], asked: Iterable[CredentialKey]) -> frozenset[Ref]:
    """Names of gateways for whose addresses nobody has asked yet, and credentials of which nothing is known.

    `known` are the facts of the configuration's cluster; `asked` are the credentials on which configuration depends.
    """
    hosts = {ref for host in mesh.networks.hosts if (ref := ref_of_host(host)) not in known}
    return frozenset(hosts).union(each.ref for each in asked if each not in mesh.credentials)
