"""Configuration of the mesh is read from one cluster; elsewhere it has no effect, and that is said."""

from __future__ import annotations

from isthmus.api import kind_named
from isthmus.api.errors import UnknownKind
from isthmus.api.resource import Ref
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId


def is_config(ref: Ref) -> bool:
    """Whether the ref is of a kind that configures the mesh."""
    try:
        return kind_named(ref.kind).is_config
    except UnknownKind:
        return False


def without_effect(cluster: ClusterId, ref: Ref, config_cluster: ClusterId) -> Finding:
    """What is to be said of configuration in another cluster than it is read from."""
    message = (
        f'has no effect here: configuration is read from cluster "{config_cluster}" (hint: apply it there)'
    )
    return Finding(ref=ref, message=message, cluster=cluster, severity=Severity.INFO, code=Code.NOT_READ_HERE)
