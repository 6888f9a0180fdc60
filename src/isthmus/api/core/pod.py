"""Pod: the fields the mesh reads."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object


class PodSpec(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Who a pod is and where it runs."""

    service_account_name: str = "default"
    node_name: str = ""
    host_network: bool = False


class PodStatus(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A pod's address and phase."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")


class Pod(Object, frozen=True, kw_only=True):
    """A workload."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
