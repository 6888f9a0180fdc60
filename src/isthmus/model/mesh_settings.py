"""The settings of the mesh, out of ConfigMap `istio`."""

from __future__ import annotations

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import read_mesh_config
from isthmus.api.resource import Object, Ref
from isthmus.kit import duration
from isthmus.model.findings import Finding
from isthmus.model.mesh import MeshSettings


def read_settings(found: Object | None, base: MeshSettings) -> MeshSettings | Finding:
    """`base` with what the ConfigMap says; `base` itself where there is none; what is wrong where it cannot be read."""
    if not isinstance(found, ConfigMap):
        return base
    try:
        config = read_mesh_config(found.data.get("mesh", ""))
    except InvalidConfig as error:
        ref = Ref("ConfigMap", found.metadata.namespace, found.metadata.name)
        path = f"$.data.mesh:{error.path}"
        return Finding(ref=ref, path=path, message=error.message, cluster=base.config_cluster)
    return msgspec.structs.replace(
        base,
        trust_domain=config.trust_domain,
        access_log_path=config.access_log_file,
        connect_timeout_s=duration.parse(config.connect_timeout),
        allow_any_outbound=config.outbound_traffic_policy.mode != "REGISTRY_ONLY",
    )
