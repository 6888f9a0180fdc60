"""Node: its labels say where it is, its addresses how it is reached."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object


class NodeAddress(msgspec.Struct, frozen=True, gc=False):
    """An address, and for whom it is: `ExternalIP`, `InternalIP`, `Hostname`."""

    type: str
    address: str


class NodeStatus(msgspec.Struct, frozen=True, gc=False):
    """What a node says of itself."""

    addresses: tuple[NodeAddress, ...] = ()


class Node(Object, frozen=True, kw_only=True):
    """A machine of a cluster."""

    status: NodeStatus = NodeStatus()
