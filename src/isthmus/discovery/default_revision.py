"""Which revision stands for all that name none: the one to which tag `default` points, and without it `default`."""

from __future__ import annotations

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.revision import DEFAULT, LABEL, tag_name

MUTATING = Kind(
    "admissionregistration.k8s.io",
    ("v1",),
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    Object,
    namespaced=False,
)


class DefaultRevision:
    """Follows the tag. Where it may not be read, or there is none, nothing but its absence is known."""

    def __init__(self, client: Client, revision: str, namespace: str) -> None:
        """`namespace`: of the control plane."""
        self._client, self._revision, self._namespace = client, revision, namespace
        self.is_ours: Watchable[bool] = Watchable(revision == DEFAULT)

    async def run(self) -> None:
        """Follow until cancelled."""
        watch = Watch(
            self._client, MUTATING, Scope(fields=f"metadata.name={tag_name(DEFAULT, self._namespace)}")
        )
        await Informer(MUTATING, watch, self._heard).run()

    def _heard(self, _: Ref, tag: Object | InvalidConfig | None) -> None:
        pointed = tag.metadata.labels.get(LABEL, "") if isinstance(tag, Object) else ""
        ours = (pointed or DEFAULT) == self._revision
        if ours != self.is_ours.value:
            log.info("default revision", revision=pointed or DEFAULT, ours=ours)
        self.is_ours.set(ours)
