"""What a proxy should hold, as Envoy's own `/config_dump` would show it: to be compared with what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any as Json

from google.protobuf import json_format
from google.protobuf.message import Message

from isthmus.debug.streams import Sessions
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import (
    Any,
    ClustersConfigDump,
    EcdsConfigDump,
    EndpointsConfigDump,
    ListenersConfigDump,
    RoutesConfigDump,
    Secret,
    SecretsConfigDump,
)
from isthmus.kit.versioned import Versioned
from isthmus.model.proxy import Proxy
from isthmus.translate.types import ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, UPSTREAM
from isthmus.xds.fanout import Fanout
from isthmus.xds.status import config_dump

_REDACTED = b"[redacted]"


def dumps(fanout: Fanout[Proxy], sessions: Sessions) -> Iterator[Message]:
    """A dump of each type that Envoy shows, also of those of which there is nothing. Keys of Secrets are left out."""
    held: dict[str, dict[str, Versioned]] = {}
    for session in sessions:
        for type_url, resource in config_dump(fanout, session):
            held.setdefault(type_url, {})[resource.name] = resource
    for type_url, dump in _DUMPS.items():
        yield dump(held.get(type_url, {}).values())


def as_json(messages: Iterable[Message]) -> dict[str, Json]:
    """As Envoy's admin answers: `configs`, each with its type."""
    return {"configs": [_typed(each) for each in messages]}


def _typed(message: Message) -> dict[str, Json]:
    content = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())
    return {"@type": f"type.googleapis.com/{message.DESCRIPTOR.full_name}", **content}


def _any(type_url: str, resource: Versioned) -> Any:
    return Any(type_url=type_url, value=resource.body)


def _clusters(resources: Iterable[Versioned]) -> Message:
    made = ClustersConfigDump()
    for each in resources:
        made.dynamic_active_clusters.add(version_info=each.version, cluster=_any(UPSTREAM, each))
    return made


def _endpoints(resources: Iterable[Versioned]) -> Message:
    made = EndpointsConfigDump()
    for each in resources:
        made.dynamic_endpoint_configs.add(version_info=each.version, endpoint_config=_any(ENDPOINTS, each))
    return made


def _listeners(resources: Iterable[Versioned]) -> Message:
    made = ListenersConfigDump()
    for each in resources:
        state = made.dynamic_listeners.add(name=each.name).active_state
        state.version_info = each.version
        state.listener.CopyFrom(_any(LISTENER, each))
    return made


def _routes(resources: Iterable[Versioned]) -> Message:
    made = RoutesConfigDump()
    for each in resources:
        made.dynamic_route_configs.add(version_info=each.version, route_config=_any(ROUTES, each))
    return made


def _extensions(resources: Iterable[Versioned]) -> Message:
    made = EcdsConfigDump()
    for each in resources:
        made.ecds_filters.add(version_info=each.version, ecds_filter=_any(EXTENSION, each))
    return made


def _secrets(resources: Iterable[Versioned]) -> Message:
    made = SecretsConfigDump()
    for each in resources:
        shown = Secret.FromString(each.body)
        if shown.HasField("tls_certificate") and shown.tls_certificate.HasField("private_key"):
            shown.tls_certificate.private_key.inline_bytes = _REDACTED
        one = made.dynamic_active_secrets.add(name=each.name, version_info=each.version)
        one.secret.CopyFrom(Any(type_url=SECRET, value=shown.SerializeToString()))
    return made


_DUMPS: dict[str, Callable[[Iterable[Versioned]], Message]] = {
    UPSTREAM: _clusters,
    ENDPOINTS: _endpoints,
    LISTENER: _listeners,
    ROUTES: _routes,
    SECRET: _secrets,
    EXTENSION: _extensions,
}
