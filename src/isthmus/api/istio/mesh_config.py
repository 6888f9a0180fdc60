"""MeshConfig: ConfigMap `istio`, key `mesh`. Fields that we do not use are let pass, as Istio has a hundred of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents
from isthmus.kit import duration


class OutboundTrafficPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of calls to unknown destinations."""

    mode: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"


class MeshConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Settings of the whole mesh, as far as they are used."""

    trust_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    access_log_file: str = ""
    connect_timeout: str = "10s"
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy()


def read_mesh_config(text: str) -> MeshConfig:
    """The mesh configuration in `text`, YAML. Raises `InvalidConfig`; paths are those within the text."""
    found = [document.value for document in documents(text)]
    if not found:
        return MeshConfig()
    try:
        config = msgspec.convert(found[0], MeshConfig)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        raise InvalidConfig(path.strip("`") or "$", what[:1].lower() + what[1:]) from error
    try:
        limit_s = duration.parse(config.connect_timeout)
    except ValueError as error:
        raise InvalidConfig("$.connectTimeout", str(error)) from error
    if limit_s <= 0:
        raise InvalidConfig("$.connectTimeout", f"is {config.connect_timeout} (hint: more than 0s)")
    if not config.trust_domain:
        raise InvalidConfig("$.trustDomain", "is empty (hint: leave it out for cluster.local)")
    return config
