"""The lease by which a cluster knows that its node lives, renewed as a kubelet does."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from isthmus.kit.clock import Clock
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.requests import Target
from isthmus.lab.stock.api_client import ApiClient, path_of

Json = dict[str, Any]
_NAMESPACE, _LIFE_S = "kube-node-lease", 40
_APPLY = "application/apply-patch+yaml"


class NodeLease:
    """The lease of one node."""

    def __init__(self, client: ApiClient, node: str, clock: Clock) -> None:
        self._client, self._node, self._clock = client, node, clock

    async def run(self) -> None:
        """Renew it until cancelled; while nobody answers, it ages."""
        target = Target(builtin("leases", "coordination.k8s.io"), _NAMESPACE, self._node)
        while True:
            with suppress(ApiError):
                query = {"fieldManager": "kubelet", "force": "true"}
                await self._client.ask("PATCH", path_of(target), self._lease(), query, _APPLY)
            await self._clock.sleep(_LIFE_S / 4)

    def _lease(self) -> Json:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._node, "leaseDurationSeconds": _LIFE_S, "renewTime": now}
        meta = {"name": self._node, "namespace": _NAMESPACE}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
