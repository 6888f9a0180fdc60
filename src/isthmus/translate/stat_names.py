"""By which names statistics of upstreams are kept, where the mesh's settings give a pattern for them.

Source: Istio's MeshConfig reference, `outboundClusterStatName` and `inboundClusterStatName`.
"""

from __future__ import annotations

from isthmus.model.service import Port, Service
from isthmus.model.workload import ServedPort


def outbound_stat_name(pattern: str, service: Service, port: Port, subset: str) -> str:
    """The name for a service's port, or for a subset of it."""
    key = service.key
    name = pattern.replace("%SERVICE%", f"{key.name}.{key.namespace}").replace("%SERVICE_FQDN%", key.hostname)
    name = name.replace("%SERVICE_PORT%", str(port.number)).replace("%SERVICE_PORT_NAME%", port.name)
    return f"{name.replace('%SUBSET_NAME%', subset)};"


def inbound_stat_name(pattern: str, served: ServedPort) -> str:
    """The name for a port that the workload serves."""
    key, port = served.service, served.port
    name = pattern.replace("%SERVICE%", f"{key.name}.{key.namespace}").replace("%SERVICE_FQDN%", key.hostname)
    name = name.replace("%SERVICE_PORT%", str(port.number)).replace("%SERVICE_PORT_NAME%", port.name)
    return f"{name.replace('%TARGET_PORT%', str(served.target_port))};"
