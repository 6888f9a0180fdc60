"""Secrets labelled `istio/multiCluster=true`: each data key is a cluster, its value a kubeconfig.

Source: Istio's remote secrets (0.8 to today). A changed Secret is a changed cluster; Istio 1.0 missed that.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Collection

from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.discovery.registry import Claims, ClusterSpec
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import InvalidKubeconfig, Refused
from isthmus.kube.informer import Informer
from isthmus.kube.kubeconfig import Access, from_stranger
from isthmus.kube.watch import Watch
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId

LABEL = "istio/multiCluster"
_SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


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


def claims_of(ref: Ref, secret: Secret, allowed: Collection[str] = ()) -> Claims:
    """The clusters that a Secret describes, each under a key, and what is wrong with it."""
    read = [read_entry(ref, key, value, allowed) for key, value in sorted(secret.data.items())]
    return Claims(tuple(spec for spec, _ in read if spec), tuple(finding for _, finding in read if finding))


def read_entry(
    ref: Ref, key: str, value: str, allowed: Collection[str] = ()
) -> tuple[ClusterSpec | None, Finding | None]:
    """The cluster that one data key of a Secret describes, or what is wrong with it."""
    path = f"$.data[{key}]"

    def wrong(message: str, severity: Severity = Severity.ERROR) -> tuple[None, Finding]:
        return None, Finding(ref=ref, path=path, message=message, severity=severity, code=Code.CLUSTER)

    if not _NAME.fullmatch(key):
        return wrong("is no name for a cluster (hint: lower case letters, digits, dashes and dots)")
    if not value:
        return wrong("is empty (hint: put a kubeconfig there)", Severity.WARNING)
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return wrong("is no text in base64")
    try:
        # Whoever may write the Secret must not thereby run programs or read files where Pilot runs.
        access = from_stranger(text, allowed)
    except InvalidKubeconfig as error:
        return wrong(f"kubeconfig {error.path}: {error.message}")
    spec = ClusterSpec(id=ClusterId(key), access=access, source=f"secret {ref.namespace}/{ref.name}")
    return spec, None
