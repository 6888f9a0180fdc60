"""Where proxies stand, as Envoy's client status discovery says it: `envoy.service.status.v3.ClientConfig`.

Envoy does not carry these messages itself, so they are written by their numbers.
Source: csds.proto of Envoy's API.
"""

from __future__ import annotations

from isthmus.debug.streams import Sessions, name_of, types_of
from isthmus.envoy.types import Node
from isthmus.kit.protobuf import field
from isthmus.translate.types import ENVOY_TYPES
from isthmus.xds.status import State, TypeStatus

TYPE_URL = "type.googleapis.com/envoy.service.status.v3.ClientConfig"
_NODE, _CONFIGS = 1, 3
_TYPE, _NAME, _VERSION, _CONFIG_STATUS, _CLIENT_STATUS, _ERROR = 1, 2, 3, 6, 7, 8
_CONFIG_STATES = {State.SYNCED: 1, State.NOT_SENT: 2, State.STALE: 3, State.REJECTED: 4}
_CLIENT_STATES = {State.SYNCED: 3, State.NOT_SENT: 1, State.STALE: 1, State.REJECTED: 4}
_DETAILS = 3
"""Of `envoy.admin.v3.UpdateFailureState`: what the proxy said."""


def client_config(sessions: Sessions, control_plane: str) -> bytes:
    """A proxy's status, of the types that it asks for; `control_plane` says who knows it.

    istioctl shows that as ISTIOD.
    """
    node = sessions[0].node
    said = Node(id=name_of(node.id))
    for key, value in {**node.metadata, "ISTIOD": control_plane}.items():
        if isinstance(value, str) and key in _SHOWN:
            said.metadata.fields[key].string_value = value
    known = types_of(sessions)
    parts = [field(_NODE, said.SerializeToString())]
    parts += (field(_CONFIGS, _config(known[type_url])) for type_url in ENVOY_TYPES if type_url in known)
    return b"".join(parts)


_SHOWN = ("CLUSTER_ID", "ISTIO_VERSION", "ISTIOD", "NAMESPACE", "NAME", "NETWORK")


def _config(status: TypeStatus) -> bytes:
    parts = [
        field(_TYPE, status.type_url.encode()),
        field(_CONFIG_STATUS, _CONFIG_STATES[status.state]),
        field(_CLIENT_STATUS, _CLIENT_STATES[status.state]),
    ]
    if status.nonce:
        parts.append(field(_VERSION, status.nonce.encode()))
    if status.reason:
        parts.append(field(_ERROR, field(_DETAILS, status.reason.encode())))
    return b"".join(parts)
