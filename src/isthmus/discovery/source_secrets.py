"""Secrets labelled `istio/multiCluster=true`: each data key is a cluster, its value a kubeconfig.

Source: Istio's remote secrets (0.8 to today). A changed Secret is a changed cluster; Istio 1.0 missed that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.discovery.registry import Claims
from isthmus.discovery.secret_claims import LABEL, claims_of
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Refused
from isthmus.kube.informer import Informer
from isthmus.kube.kubeconfig import Access
from isthmus.kube.watch import Watch
from isthmus.model.findings import Code, Finding

_SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)


class SecretsSource:
    """The labelled Secrets of one namespace, in the cluster that `access` reaches."""

    def __init__(self, access: Access, namespace: str, allowed: Collection[str] = ()) -> None:
        """`allowed`: of `kubeconfig.REACHES`, what kubeconfigs there may name of Pilot's own programs and files."""
        self.claims: Watchable[Claims] = Watchable(Claims())
        self._allowed = allowed
        self.looked = asyncio.Event()
        self._access, self._namespace = access, namespace
        self._secrets: dict[Ref, Secret] = {}
        self._wrong: dict[Ref, InvalidConfig] = {}

    async def run(self) -> None:
        scope = Scope(self._namespace, labels=f"{LABEL}=true")
        async with Client(self._access) as client:
            informer = Informer(_SECRETS, Watch(client, _SECRETS, scope), self._changed)
            async with supervise(informer.run()):
                async for health in informer.health.changes():
                    # Who may not read Secrets need not wait for them.
                    if health.synced or isinstance(health.error, Refused):
                        self.looked.set()

    def _changed(self, ref: Ref, value: Object | InvalidConfig | None) -> None:
        self._secrets.pop(ref, None)
        self._wrong.pop(ref, None)
        if isinstance(value, Secret):
            self._secrets[ref] = value
        elif isinstance(value, InvalidConfig):
            self._wrong[ref] = value
        self.claims.set(self._read())

    def _read(self) -> Claims:
        findings = [
            Finding(ref=ref, path=error.path, message=error.message, code=Code.CLUSTER)
            for ref, error in self._wrong.items()
        ]
        found = [claims_of(ref, self._secrets[ref], self._allowed) for ref in sorted(self._secrets)]
        specs = [spec for each in found for spec in each.specs]
        return Claims(tuple(specs), (*findings, *(finding for each in found for finding in each.findings)))
