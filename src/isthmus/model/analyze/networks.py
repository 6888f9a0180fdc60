"""Networks that are not entered, gateways that let nobody in, endpoints that no caller elsewhere reaches."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.mesh_networks import read_mesh_networks
from isthmus.api.resource import Ref
from isthmus.model.analyze.subject import Subject, finding, finding_in
from isthmus.model.codes import Code
from isthmus.model.endpoint import Endpoint, Health
from isthmus.model.findings import Finding
from isthmus.model.names import FLAT, ClusterId, Hostname, NetworkId, kubernetes_hostname
from isthmus.model.network import Direct, Unreachable
from isthmus.model.network_gateways import network_of_gateway
from isthmus.model.service import Resolution, Service

_PLAIN = frozenset({"DISABLE", "SIMPLE", "MUTUAL"})


def registries_are_known(subject: Subject) -> Iterator[Finding]:
    """Each cluster that MeshNetworks put into a network is one of the mesh."""
    ref, clusters = subject.mesh.settings.written_in, subject.objects.keys()
    found = subject.objects.get(subject.mesh.settings.config_cluster, {}).get(ref)
    if not isinstance(found, ConfigMap) or not (subject.is_whole or len(clusters) > 1):
        return  # files of one cluster do not say what others are called
    try:
        networks = read_mesh_networks(found.data.get("meshNetworks", "")).networks
    except InvalidConfig:
        return  # which is another finding
    for name, network in networks.items():
        for index, each in enumerate(network.endpoints):
            if each.from_registry and each.from_registry not in clusters:
                message = (
                    f'puts nothing into network {name}: no cluster "{each.from_registry}" is followed '
                    f"(hint: clusters are {', '.join(sorted(clusters))})"
                )
                path = f"$.data.meshNetworks.networks[{name}].endpoints[{index}].fromRegistry"
                yield finding(found, path, message, Code.UNKNOWN_REGISTRY)


def have_gateways(subject: Subject) -> Iterator[Finding]:
    """Where there are several networks, each that has endpoints has a gateway."""
    networks = subject.mesh.networks
    used = {network for backing in subject.mesh.backings.values() for network in backing.networks}
    without = used - networks.gateways.keys() - networks.awaited
    if len(used) < 2 or not without:
        return
    for cluster, namespace in subject.everywhere(Namespace):
        network = networks.of(cluster)
        if namespace.metadata.name == subject.root and network in without:
            without.discard(network)
            message = (
                f"network {network} has no gateway: pods of other networks call its pods directly "
                "(hint: isthmus install eastwest; or one name for networks that reach each other)"
            )
            code = Code.NETWORK_WITHOUT_GATEWAY
            yield finding_in(
                cluster, namespace, "$.metadata.labels[topology.istio.io/network]", message, code
            )
    for workload in subject.mesh.workloads.values():
        if workload.network in without:
            without.discard(workload.network)
            message = (
                f"its network {workload.network} has no gateway, and no cluster is in it "
                f"(hint: networks are {', '.join(sorted(used - {workload.network}))})"
            )
            yield Finding(
                ref=Ref("Pod", workload.namespace, workload.name),
                message=message,
                cluster=workload.cluster,
                severity=Code.NETWORK_WITHOUT_GATEWAY.severity,
                code=Code.NETWORK_WITHOUT_GATEWAY,
            )


def gateways_let_in(subject: Subject) -> Iterator[Finding]:
    """The pods behind a gateway between networks have a server that lets calls in by name."""
    letting = [
        each.spec.selector.items()
        for each in subject.of(GatewayConfig)
        if any(
            server.tls is not None and server.tls.mode == "AUTO_PASSTHROUGH" for server in each.spec.servers
        )
    ]
    for cluster, service in subject.everywhere(ServiceObject):
        wanted = (service.spec.selector or {}).items()
        if not network_of_gateway(service) or not wanted:
            continue
        behind = [
            dict(workload.labels).items()
            for workload in subject.mesh.workloads.values()
            if workload.cluster == cluster
            and workload.namespace == service.metadata.namespace
            and wanted <= dict(workload.labels).items()
        ]
        if behind and not any(selector <= labels for labels in behind for selector in letting):
            message = (
                f"lets into network {network_of_gateway(service)}, but no Gateway opens its pods for calls by server "
                "name (hint: isthmus install networks, or a server with tls mode AUTO_PASSTHROUGH)"
            )
            yield finding_in(cluster, service, "$.spec.selector", message, Code.GATEWAY_OUT_OF_REACH)


def services_are_reached(subject: Subject) -> Iterator[Finding]:
    """A service that has endpoints has some for the callers of each cluster that knows it."""
    if subject.mesh.networks.is_flat:
        return
    for cluster, found in subject.everywhere(ServiceObject):
        service = subject.services_by_host.get(_host(subject, found))
        if service is None or service.entry:
            continue
        here = subject.mesh.networks.of(cluster)
        if service.resolution is Resolution.PASSTHROUGH and (far := _networks_beyond(subject, service, here)):
            message = (
                f"callers here do not reach all of its pods in network {', '.join(far)}, which is entered with mutual "
                "TLS only (hint: give its pods sidecars)"
            )
            yield finding_in(cluster, found, "$.spec.clusterIP", message, Code.NETWORK_CLOSED)
        if service.resolution is not Resolution.ENDPOINTS:
            continue
        why = _out_of_reach(subject, service, here)
        if why:
            yield finding_in(
                cluster, found, "$", f"callers here reach no endpoint of it: {why}", Code.NETWORK_CLOSED
            )


def _host(subject: Subject, found: ServiceObject) -> Hostname:
    return kubernetes_hostname(found.metadata.name, found.metadata.namespace, subject.domain)


def _networks_beyond(subject: Subject, service: Service, here: NetworkId) -> list[NetworkId]:
    """The networks of those endpoints of a headless service that are called neither directly nor through gateways."""
    shards = subject.mesh.shards.get(service.key, {}).values()
    endpoints = (endpoint for shard in shards for endpoint in shard.endpoints)
    reach = subject.mesh.networks.reach
    pods = {each.key.name for each in subject.mesh.services.values() if each.pod_of == service.key}
    out_of_reach = (
        each
        for each in endpoints
        if not isinstance(reach(here, each), Direct) and not (each.tls and each.far_name in pods)
    )
    return sorted({each.network for each in out_of_reach})


def _out_of_reach(subject: Subject, service: Service, here: NetworkId) -> str:
    """Why a caller in network `here` reaches none of the service's endpoints; empty where it does, or none is there."""
    why = ""
    for shard in subject.mesh.shards.get(service.key, {}).values():
        for endpoint in shard.endpoints:
            if endpoint.health is Health.UNHEALTHY:
                continue
            way = subject.mesh.networks.reach(here, endpoint)
            if not isinstance(way, Unreachable):
                return ""
            why = why or f"{way.reason} (hint: {_mend(endpoint)})"
    return why


def _mend(endpoint: Endpoint) -> str:
    if endpoint.tls and not endpoint.takes_mutual:
        return "a PeerAuthentication that lets mutual TLS in"
    return "wait for the gateway's address" if endpoint.tls else "give its pods sidecars"


def rules_let_calls_cross(subject: Subject) -> Iterator[Finding]:
    """No DestinationRule speaks to a service of several networks in a way that gateways do not let in."""
    entered = subject.mesh.networks.gateways.keys()
    for rule in subject.of(DestinationRule):
        policy = rule.spec.traffic_policy
        service = subject.service(rule.spec.host, rule.metadata.namespace)
        if policy is None or policy.tls is None or policy.tls.mode not in _PLAIN or service is None:
            continue
        networks = (
            set(subject.mesh.backings[service.key].networks)
            if service.key in subject.mesh.backings
            else set()
        )
        if networks & entered and len(networks | {_network_of_config(subject)} - {FLAT}) > 1:
            message = (
                f"is {policy.tls.mode}: calls stay in their own network, since gateways to "
                f"{', '.join(sorted(networks & entered))} let in mutual TLS of the mesh alone (hint: ISTIO_MUTUAL)"
            )
            yield finding(rule, "$.spec.trafficPolicy.tls.mode", message, Code.NETWORK_CLOSED)


def _network_of_config(subject: Subject) -> NetworkId:
    return subject.mesh.networks.of(ClusterId(subject.mesh.settings.config_cluster))
