"""Injection with the settings of a cluster, as ConfigMap `istio-sidecar-injector` holds them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Kind
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.sidecar.inject.manifest import inject_manifest
from isthmus.sidecar.inject.settings import InjectSettings, InvalidSettings, read_settings

_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)
NAME = "istio-sidecar-injector"


async def settings_of_cluster(access: Access, namespace: str = "istio-system") -> InjectSettings:
    """What the cluster's ConfigMap says. Raises `KubeError` with a hint where there is none."""
    async with Client(access) as client:
        try:
            found = await client.get(_CONFIG_MAPS, namespace, NAME)
        except NotFound as error:
            hint = "(hint: isthmus install primary|remote, or --cluster NAME)"
            raise KubeError(f"cluster {access.server} has no ConfigMap {namespace}/{NAME} {hint}") from error
    try:
        return read_settings((found.get("data") or {}).get("values", ""))
    except InvalidSettings as error:
        raise KubeError(str(error)) from error


async def inject_file(path: Path, access: Access) -> str:
    """The file's manifests with sidecars, as the cluster behind `access` wants them."""
    text = await asyncio.to_thread(path.read_text)
    return inject_manifest(text, await settings_of_cluster(access), access.namespace).text
