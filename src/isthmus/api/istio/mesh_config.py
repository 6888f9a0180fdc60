"""MeshConfig: ConfigMap `istio`, key `mesh`. fields that we do not use are told, and are no error."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import LocalityLbSetting
from isthmus.api.yaml import documents
from isthmus.kit import duration


class OutboundTrafficPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of calls to unknown destinations."""

    mode: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"


class MeshConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Settings of the whole mesh, as far as they are used; None: nothing is said."""

    trust_domain: str | None = None
    root_namespace: str | None = None
    access_log_file: str | None = None
    connect_timeout: str | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    locality_lb_setting: LocalityLbSetting | None = None  # where a DestinationRule says nothing of it
    default_config: dict[str, object] | None = None  # of proxies: what the injector has for them counts


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
    if config.connect_timeout is not None:
        try:
            limit_s = duration.parse(config.connect_timeout)
        except ValueError as error:
            raise InvalidConfig("$.connectTimeout", str(error)) from error
        if limit_s <= 0:
            raise InvalidConfig("$.connectTimeout", f"is {config.connect_timeout} (hint: more than 0s)")
    for field, value in (("trustDomain", config.trust_domain), ("rootNamespace", config.root_namespace)):
        if value == "":
            raise InvalidConfig(f"$.{field}", "is empty (hint: leave it out for the usual one)")
    return config


def unread_fields(text: str) -> Iterator[tuple[str, str]]:
    """The path and a sentence for each field of `text` that has no effect; none where it is no mesh configuration."""
    try:
        found = next((document.value for document in documents(text)), None)
    except InvalidConfig:
        return
    known = [field.encode_name for field in msgspec.structs.fields(MeshConfig)]
    for name in found if isinstance(found, dict) else ():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.8)
            hint = f" (hint: did you mean {near[0]}?)" if near else ""
            yield f"$.{name}", f"has no effect: this mesh does not read it{hint}"
