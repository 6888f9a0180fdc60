"""Where collectors of logs and traces are: services of the mesh, or hosts outside."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.extension_provider import Collector, ExtensionProvider
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import Hostname, resolve
from isthmus.model.reporting import own_collector


def collector(found: ExtensionProvider) -> Collector | None:
    """The collector of a provider; None where it has none."""
    parts = (getattr(found, name) for name in ExtensionProvider.__struct_fields__[1:])
    return next((each for each in parts if isinstance(each, Collector)), None)


def hostnames(found: Collector, settings: MeshSettings) -> tuple[Hostname, ...]:
    """The hosts that `[namespace/]service` may mean; short names are of the root namespace.

    Addresses in ProxyConfigs are often written as `name.namespace`.
    """
    namespace, _, name = found.service.rpartition("/")
    host = resolve(name, namespace or settings.root_namespace, settings.domain)
    return (host, resolve(f"{host}.svc", "", settings.domain)) if host.count(".") == 1 else (host,)


def collector_hosts(settings: MeshSettings) -> Iterator[Hostname]:
    """The hosts of all collectors: every proxy must see them, whatever else a Sidecar shows it."""
    own = own_collector(settings.listener.proxy)
    for provider in (*settings.listener.providers, *([own] if own is not None else ())):
        found = collector(provider)
        if found is not None:
            yield from hostnames(found, settings)
