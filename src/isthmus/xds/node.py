"""What a proxy says of itself in its first request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.envoy.types import Node, Struct, Value


@dataclass(frozen=True, slots=True)
class ProxyNode:
    """Envoy's node, as plain values. `version` is that of the proxy's build, empty where it says none."""

    id: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    version: str = ""


def proxy_node(node: Node) -> ProxyNode:
    """The plain values of `node`. Its list of extensions, most of its bytes, is left behind."""
    build = node.user_agent_build_version.version
    return ProxyNode(
        id=node.id,
        metadata=_plain_struct(node.metadata),
        region=node.locality.region,
        zone=node.locality.zone,
        sub_zone=node.locality.sub_zone,
        version=f"{build.major_number}.{build.minor_number}.{build.patch}"
        if node.HasField("user_agent_build_version")
        else "",
    )


def _plain_struct(struct: Struct) -> dict[str, object]:
    return {key: _plain(value) for key, value in struct.fields.items()}


def _plain(value: Value) -> object:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case "struct_value":
            return _plain_struct(value.struct_value)
        case "list_value":
            return [_plain(each) for each in value.list_value.values]
        case _:
            return None
