"""The settings of the mesh, out of ConfigMap `istio`."""

from __future__ import annotations

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import read_mesh_config, unread_fields
from isthmus.api.resource import Object, Ref
from isthmus.kit import duration
from isthmus.model.findings import Finding, Severity
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
    said: dict[str, object] = {
        "trust_domain": config.trust_domain,
        "root_namespace": config.root_namespace,
        "access_log_path": config.access_log_file,
        "locality_lb_setting": config.locality_lb_setting,
    }
    if config.connect_timeout is not None:
        said["connect_timeout_s"] = duration.parse(config.connect_timeout)
    if config.outbound_traffic_policy is not None:
        said["allow_any_outbound"] = config.outbound_traffic_policy.mode != "REGISTRY_ONLY"
    return msgspec.structs.replace(base, **{name: value for name, value in said.items() if value is not None})


def unread(found: Object | None, base: MeshSettings) -> tuple[Finding, ...]:
    """What the ConfigMap says and nobody reads."""
    if not isinstance(found, ConfigMap):
        return ()
    ref = Ref("ConfigMap", found.metadata.namespace, found.metadata.name)
    return tuple(
        Finding(
            ref=ref,
            path=f"$.data.mesh:{path}",
            message=message,
            cluster=base.config_cluster,
            severity=Severity.WARNING,
        )
        for path, message in unread_fields(found.data.get("mesh", ""))
    )
