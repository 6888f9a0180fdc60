"""A change: a fact from one source, on its way into the mesh."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.api.resource import Object, Ref
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId


class ChangeKey(NamedTuple):
    """What a change is about; a newer change of the same key replaces the older."""

    cluster: ClusterId
    ref: Ref


class Change(NamedTuple):
    """The newest state of one object in one cluster: decoded, gone (None), or impossible to decode.

    A `Finding` as value means: the object exists and is wrong; the last good one stays in the mesh.
    A whole cluster that is gone is a change of `CLUSTER_REF(name)` with None: all its facts go with it.
    """

    key: ChangeKey
    value: Object | Finding | None


def cluster_ref(cluster: ClusterId) -> Ref:
    """The ref under which a cluster as a whole is spoken of."""
    return Ref("Cluster", "", cluster)
