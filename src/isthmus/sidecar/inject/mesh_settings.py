"""What the mesh says of all its sidecars, laid into the settings of injection."""

from __future__ import annotations

import msgspec

from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.istio.proxy_config import ProxyConfig, ProxyConfigObject
from isthmus.sidecar.inject.settings import InjectSettings


def with_mesh(
    settings: InjectSettings, mesh: MeshConfig, proxies: tuple[ProxyConfigObject, ...] = ()
) -> InjectSettings:
    """`settings` with what the mesh's settings and ProxyConfigs say of single proxies."""
    return msgspec.structs.replace(
        settings,
        proxy=mesh.default_config or ProxyConfig(),
        proxy_configs=proxies,
        merge_metrics=mesh.enable_prometheus_merge is not False,
    )
