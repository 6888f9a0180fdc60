"""A pod or the template of one, as injection sees it: JSON, and the workload that it belongs to."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]  # an object of Kubernetes: we change a little of it and keep the rest as it is


class Pod(NamedTuple):
    """`metadata` and `spec` of the pod; nobody changes them, see `patch.injected`."""

    metadata: Json
    spec: Json
    namespace: str
    workload: str
    workload_kind: str
    workload_api: str = "apps/v1"
    empty_metadata: tuple[object, ...] = ()
    """What stands in the place of metadata that say nothing: null or {}; empty where there are none."""

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.get("annotations") or {}

    @property
    def containers(self) -> list[Json]:
        return self.spec.get("containers") or []

    @property
    def ports(self) -> list[Json]:
        """All ports that the application's containers declare."""
        return [port for container in self.containers for port in container.get("ports") or []]
