"""What other objects are made of is looked up here, so that it is known which must be made anew when it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import Service as CoreService
from isthmus.api.resource import Object, Ref
from isthmus.model.credential import Credential
from isthmus.model.credential_key import CredentialKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ServiceKey, kubernetes_hostname
from isthmus.model.service import Service

Name = tuple[str, str]
"""Namespace and name."""

SERVICE, CREDENTIAL, SETTINGS = "service of the mesh", "credential", "settings"
"""Kinds of facts besides the kinds of objects: by a service's key, a credential's key, and the one key there is."""


class Lookup:
    """What is known, by name. The objects are those of the cluster with the configuration."""

    def __init__(self, look: Callable[[str, Any], Any], settings: MeshSettings) -> None:
        self.look = look
        self.domain = settings.domain
        self._cluster = settings.config_cluster

    def object(self, ref: Ref) -> Object | None:
        found: Object | None = self.look(ref.kind, ref)
        return found

    def service(self, key: ServiceKey) -> Service | None:
        """The service, of whatever clusters."""
        found: Service | None = self.look(SERVICE, key)
        return found

    def service_key(self, namespace: str, name: str) -> ServiceKey:
        """That of the Service of that name."""
        return ServiceKey(namespace, kubernetes_hostname(name, namespace, self.domain))

    def own_service(self, name: Name) -> CoreService | None:
        """The Service as the cluster with the configuration has it."""
        found = self.object(Ref("Service", *name))
        return found if isinstance(found, CoreService) else None

    def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        found = self.object(Ref("Namespace", "", namespace))
        return found.metadata.labels if isinstance(found, Namespace) else {}

    def settings(self) -> MeshSettings:
        found: MeshSettings = self.look(SETTINGS, "")
        return found

    def has_certificate(self, name: Name) -> bool:
        """Whether the Secret holds a certificate and its key; of what nobody follows yet the best is assumed."""
        found = self._credential(Ref("Secret", *name))
        return found is None or bool(found.certificate)

    def has_authority(self, ref: Ref) -> bool:
        """Whether the Secret or ConfigMap holds a CA's certificates; of what nobody follows yet the best is assumed."""
        found = self._credential(ref)
        return found is None or bool(found.roots)

    def _credential(self, ref: Ref) -> Credential | None:
        found: Credential | None = self.look(CREDENTIAL, CredentialKey(self._cluster, ref))
        return found
