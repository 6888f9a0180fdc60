"""A change: a fact from one source, on its way into the mesh."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from isthmus.api.resource import Object, Ref
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId


class ChangeKey(NamedTuple):
    """What a change is about; a newer change of the same key replaces the older."""

    cluster: ClusterId
    ref: Ref


class Unknown(Enum):
    """In place of an object: nobody follows it any more, so that nothing is known of it, not even that it is gone."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


class Doubted(NamedTuple):
    """An object that counts, and what is to be said of it all the same."""

    value: Object
    finding: Finding


class Refused(NamedTuple):
    """An object that is wrong, and what counts in its place while no good one is known: it must not be as if it were
    not there."""

    finding: Finding
    instead: Object


def refused(finding: Finding, instead: object | None) -> Finding | Refused:
    """A finding about an object that does not count, with what does instead, if anything."""
    return Refused(finding, instead) if isinstance(instead, Object) else finding


class Change(NamedTuple):
    """The newest state of one object in one cluster: decoded, gone (None), or impossible to decode.

    A `Finding` or `Refused` as value means: the object exists and is wrong; the last good one stays in the mesh.
    A whole cluster that is gone is a change of `CLUSTER_REF(name)` with None: all its facts go with it.
    """

    key: ChangeKey
    value: Object | Doubted | Finding | Refused | Unknown | None


def cluster_ref(cluster: ClusterId) -> Ref:
    """The ref under which a cluster as a whole is spoken of."""
    return Ref("Cluster", "", cluster)
