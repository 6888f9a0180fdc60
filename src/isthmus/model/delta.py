"""A delta: what may differ between a mesh and the one before it."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Ref
from isthmus.model.credential_key import CredentialKey
from isthmus.model.key_source import KeySource
from isthmus.model.names import ClusterId, ServiceKey


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look after a step. It may name too much, never too little."""

    services: frozenset[ServiceKey] = frozenset()  # shape or backing: upstreams, listeners, routes
    endpoints: frozenset[ServiceKey] = frozenset()  # endpoints only
    config: frozenset[Ref] = frozenset()  # configuration objects
    workloads: frozenset[tuple[ClusterId, str]] = frozenset()  # by cluster and address: inbound sides
    statuses: frozenset[Ref] = frozenset()  # what is told of objects; no proxy asks for it
    networks: bool = False  # how networks are reached
    credentials: frozenset[CredentialKey] = frozenset()  # Secrets, and ConfigMaps of CAs
    key_sets: frozenset[KeySource] = frozenset()  # other keys of issuers
    settings: bool = False  # of the mesh: which parts differ is to be seen in the meshes
    everything: bool = False  # the first mesh

    @property
    def reason(self) -> str:
        """What differs, in one word: of several things the one that touches most."""
        words = {
            "global": self.everything or self.settings,
            "networks": self.networks,
            "config": self.config,
            "service": self.services,
            "endpoint": self.endpoints,
            "workload": self.workloads,
            "secret": self.credentials,
            "keys": self.key_sets,
        }
        return next((word for word, differs in words.items() if differs), "none")

    def __bool__(self) -> bool:
        parts = (self.services, self.endpoints, self.config, self.workloads, self.credentials, self.key_sets)
        return self.everything or self.networks or self.settings or any(parts)
