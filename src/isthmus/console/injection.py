"""Injection with the settings of a cluster: its ConfigMaps, and the ProxyConfigs in it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from isthmus.admission.bundles import MUTATING
from isthmus.api import kind_named
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.api.resource import Kind
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.kube.version import server_version
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.model.revision import DEFAULT, LABEL, ROOT, settings_map, suffix, tag_name
from isthmus.sidecar.inject.manifest import inject_manifest
from isthmus.sidecar.inject.mesh_settings import with_mesh
from isthmus.sidecar.inject.settings import InjectSettings, InvalidSettings, settings_in

_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)


async def settings_of_cluster(access: Access, namespace: str = ROOT, asked: str = DEFAULT) -> InjectSettings:
    """What the cluster says of sidecars of a revision, or of the one for which a tag stands that is `asked` for.

    Raises `KubeError` with a hint where it says nothing.
    """
    async with Client(access) as client:
        revision = await _meant(client, namespace, asked)
        name = f"istio-sidecar-injector{suffix(revision)}"
        try:
            found = await client.get(_CONFIG_MAPS, namespace, name)
        except NotFound as error:
            hint = "(hint: isthmus install primary|remote, or --cluster NAME)"
            if asked != DEFAULT:
                hint = (
                    f'of revision or tag "{asked}" (hint: isthmus revision list shows those that are there)'
                )
            raise KubeError(f"cluster {access.server} has no ConfigMap {namespace}/{name} {hint}") from error
        mesh, proxies = await _mesh(client, (namespace, settings_map(revision))), await _proxy_configs(client)
        version = await _version(client)
    try:
        settings = settings_in(found.get("data"))
    except InvalidSettings as error:
        raise KubeError(str(error)) from error
    return msgspec.structs.replace(with_mesh(settings, mesh, proxies), kubernetes=version)


async def _version(client: Client) -> str:
    """Of the API server; nothing where it does not tell."""
    with suppress(KubeError):
        return await server_version(client)
    return ""


async def _meant(client: Client, namespace: str, asked: str) -> str:
    """The revision for which a tag of this name stands; where there is none, or it may not be read, the name itself."""
    with suppress(KubeError):
        found = await client.get(MUTATING, "", tag_name(asked, namespace))
        return str((found["metadata"].get("labels") or {}).get(LABEL, asked))
    return asked


async def _mesh(client: Client, place: tuple[str, str]) -> MeshConfig:
    """The mesh's settings; nothing where the cluster, a remote one, has none. Raises `KubeError`."""
    try:
        found = await client.get(_CONFIG_MAPS, *place)
        return checked_mesh_config((found.get("data") or {}).get("mesh", ""))[0]
    except NotFound:
        return MeshConfig()
    except InvalidConfig as error:
        raise KubeError(f"ConfigMap {'/'.join(place)}: $.data.mesh{str(error).removeprefix('$')}") from error


async def _proxy_configs(client: Client) -> tuple[ProxyConfigObject, ...]:
    """All ProxyConfigs that can be read; none where the cluster does not know the kind or does not show it."""
    kind = kind_named("ProxyConfig")
    found: list[ProxyConfigObject] = []
    with suppress(KubeError):
        for each in (await client.list_all(kind)).items:
            with suppress(InvalidConfig):
                decoded = decode(kind, each)
                found += [decoded] if isinstance(decoded, ProxyConfigObject) else []
    return tuple(found)


async def inject_file(path: Path, access: Access) -> str:
    """The file's manifests with sidecars, as the cluster behind `access` wants them: containers beside the others.

    The demo's chapters look at these; that a cluster has native ones as well is for those who run `kube-inject`.
    """
    text = await asyncio.to_thread(path.read_text)
    settings = msgspec.structs.replace(await settings_of_cluster(access), native_sidecars=False)
    return inject_manifest(text, settings, access.namespace).text
