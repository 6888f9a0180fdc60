"""Pilot's debug pages as Istio's tools read them: names and shapes are Istio's.

What Istio has no word for is on pages of our own, see `admin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from isthmus.api import KINDS
from isthmus.debug import envoy_dump
from isthmus.debug.streams import Sessions, by_proxy, name_of, named, types_of
from isthmus.discovery.cluster_watcher import ClusterState
from isthmus.discovery.fleet import Fleet
from isthmus.kit.release import RELEASE
from isthmus.model.build import MeshBuilder
from isthmus.model.endpoint import Endpoint
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.service import Resolution, Service
from isthmus.translate.types import ENDPOINTS, EXTENSION, LISTENER, ROUTES, UPSTREAM
from isthmus.xds.fanout import Fanout
from isthmus.xds.status import State

Json = dict[str, Any]
Page = Callable[[Mapping[str, str]], object]
"""What a page shows, as JSON can be, for the parameters of its query. Raises `LookupError`."""

VERSION = f"{RELEASE}-isthmus-Clean"
"""As `/version` says it: release, revision and state of the build."""
_SYNCED = {
    UPSTREAM: "cluster",
    LISTENER: "listener",
    ROUTES: "route",
    ENDPOINTS: "endpoint",
    EXTENSION: "extensionconfig",
}
_RESOLUTIONS = {
    Resolution.ENDPOINTS: 0,
    Resolution.DNS: 1,
    Resolution.PASSTHROUGH: 2,
    Resolution.DNS_ROUND_ROBIN: 3,
    Resolution.NONE: 2,
}
"""Istio's numbers: endpoints that Pilot tells, DNS, the address that was asked for, DNS of which the first counts."""

_UNHEARD = frozenset({ClusterState.UNREACHABLE, ClusterState.KEPT})


class IstioPages:
    """Answers of a control plane that runs."""

    def __init__(self, fleet: Fleet, builder: MeshBuilder, fanout: Fanout[Proxy]) -> None:
        self._fleet, self._builder, self._fanout = fleet, builder, fanout

    def pages(self) -> dict[str, Page]:
        """By their paths."""
        return {
            "/debug/syncz": lambda _: [_synced(each) for each in by_proxy(self._fanout).values()],
            "/debug/clusterz": lambda _: list(self.clusters()),
            "/debug/registryz": lambda _: [_service(each) for _, each in sorted(self._mesh.services.items())],
            "/debug/endpointz": lambda _: list(_endpoints(self._mesh)),
            "/debug/endpointShardz": lambda _: _shards(self._mesh),
            "/debug/configz": lambda _: list(_configuration(self._mesh)),
            "/debug/config_dump": self._config_dump,
        }

    @property
    def _mesh(self) -> Mesh:
        return self._builder.mesh

    def clusters(self) -> Iterator[Json]:
        """Each cluster with the Secret, or whatever else, that tells of it."""
        for status in self._fleet.status():
            kind, _, place = status.source.partition(" ")
            yield {
                "id": status.id,
                "secretName": "" if status.is_config else place if kind == "secret" else status.source,
                "syncStatus": "timeout" if status.state in _UNHEARD else status.state.value,
            }

    def _config_dump(self, query: Mapping[str, str]) -> Json:
        sessions = named(self._fanout, query.get("proxyID", ""))
        return envoy_dump.as_json(envoy_dump.dumps(self._fanout, sessions))


def _synced(sessions: Sessions) -> Json:
    """Where a proxy stands: equal nonces are a type that it has taken up."""
    node = sessions[0].node
    known = types_of(sessions)
    found: Json = {
        "cluster_id": str(node.metadata.get("CLUSTER_ID", "")),
        "proxy": name_of(node.id),
        "proxy_type": node.id.partition("~")[0],
        "proxy_version": node.version,
        "istio_version": str(node.metadata.get("ISTIO_VERSION", "")),
    }
    for type_url, word in _SYNCED.items():
        status = known.get(type_url)
        if status is not None and status.state is not State.NOT_SENT:
            found[f"{word}_sent"] = status.nonce
            found[f"{word}_acked"] = status.nonce if status.state is State.SYNCED else ""
    return found


def _service(service: Service) -> Json:
    addresses = {cluster: list(vips) for cluster, vips in service.vips}
    first = next((vips[0] for vips in addresses.values() if vips), next(iter(service.given), "0.0.0.0"))
    return {
        "hostname": service.key.hostname,
        "creationTime": service.created or None,
        "ports": [
            {"name": port.name, "port": port.number, "protocol": port.protocol.value}
            for port in service.ports
        ],
        "clusterVIPs": {"Addresses": addresses},
        "defaultAddress": first,
        "Resolution": _RESOLUTIONS[service.resolution],
        "MeshExternal": service.is_external,
        "Attributes": {
            "ServiceRegistry": "External" if service.entry else "Kubernetes",
            "Name": service.name,
            "Namespace": service.key.namespace,
            "ExportTo": {each: {} for each in service.export_to} or None,
        },
    }


def _endpoints(mesh: Mesh) -> Iterator[Json]:
    for key, shards in sorted(mesh.shards.items()):
        service = mesh.services.get(key)
        for port in service.ports if service is not None else ():
            found = [
                {"endpoint": {"Address": each.address, "Port": number, "ServicePort": {"port": port.number}}}
                for _, shard in sorted(shards.items())
                for each in shard.endpoints
                if (number := each.port(port.name)) is not None
            ]
            yield {"svc": f"{key.hostname}:{port.name}", "ep": found}


def _shards(mesh: Mesh) -> Json:
    found: Json = {}
    for key, shards in sorted(mesh.shards.items()):
        by_cluster = {
            f"Kubernetes/{cluster}": [_endpoint(each) for each in shard.endpoints]
            for cluster, shard in sorted(shards.items())
        }
        found.setdefault(key.hostname, {})[key.namespace] = {"Shards": by_cluster}
    return found


def _endpoint(endpoint: Endpoint) -> Json:
    return {
        "Addresses": list(endpoint.addresses),
        "Ports": dict(endpoint.ports),
        "Labels": dict(endpoint.labels),
        "ServiceAccount": str(endpoint.identity or ""),
        "Network": endpoint.network,
        "Locality": {"Label": str(endpoint.locality), "ClusterID": endpoint.cluster},
        "LbWeight": endpoint.weight,
        "TLSMode": "istio" if endpoint.tls else "disabled",
        "Namespace": endpoint.namespace,
        "WorkloadName": endpoint.workload,
        "HostName": endpoint.hostname,
        "HealthStatus": endpoint.health.value,
        "NodeName": endpoint.node,
    }


def _configuration(mesh: Mesh) -> Iterator[Json]:
    """Objects as they are in effect: also those that were made of others."""
    kinds = {kind.type.__name__: kind for kind in KINDS if kind.is_config}
    for name, objects in sorted(mesh.config.items()):
        kind = kinds.get(name)
        for ref in sorted(objects) if kind is not None else ():
            content: Json = _said(objects[ref])
            yield {
                "kind": kind.name if kind is not None else "",
                "apiVersion": kind.api_version if kind is not None else "",
                "metadata": content.get("metadata", {}),
                "spec": content.get("spec", {}),
            }


def _said(value: object) -> Any:
    """A struct as JSON, without what it leaves to its defaults."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _said(each)
            for field in msgspec.structs.fields(value)
            if (each := getattr(value, field.name)) != field.default
        }
    if isinstance(value, tuple | list | frozenset):
        return [_said(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _said(each) for key, each in value.items()}
    return msgspec.to_builtins(value, str_keys=True, enc_hook=str)
