"""One Envoy on loopback that is both sidecars of a call: what we translate, made static and bound to ports.

Nothing captures calls here, so outbound listeners get sockets of their own, and `virtualInbound` is there
once for each port that it serves. Calls of a headless service's pods at 127.0.0.1 are taken at 127.0.0.9 and
sent on as if they had been captured. Certificates are written into the bootstrap instead of asked for.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import asynccontextmanager

from google.protobuf import json_format

from fakes.eventually import eventually
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.envoy.binary import envoy_executable
from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.types import (
    Bootstrap,
    Cluster,
    ClusterLoadAssignment,
    Filter,
    FilterStateValue,
    Listener,
    NetworkSetFilterState,
    RouteConfiguration,
    Secret,
)
from isthmus.translate import proto
from isthmus.translate.offline import read_case
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, UPSTREAM

MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)


def unpacked(packed):
    return class_of_url(packed.type_url).FromString(packed.value)


def with_static_secrets(socket):
    """The transport socket, its secrets named and not asked for."""
    tls = unpacked(socket.typed_config)
    common = tls.common_tls_context
    for config in common.tls_certificate_sds_secret_configs:
        config.ClearField("sds_config")
    common.combined_validation_context.validation_context_sds_secret_config.ClearField("sds_config")
    socket.typed_config.CopyFrom(proto.any_of(tls))


POD, DIRECTLY = "127.0.0.1", "127.0.0.9"


def meant_for(address):
    """A filter that tells the upstream where the connection was going before it was captured."""
    # Source: Envoy's "Well Known Filter State Objects".
    value = FilterStateValue(object_key="envoy.network.transport_socket.original_dst_address")
    value.format_string.text_format_source.inline_string = address
    config = proto.any_of(NetworkSetFilterState(on_new_connection=[value]))
    return Filter(name="envoy.filters.network.set_filter_state", typed_config=config)


CALLER = """
kind: Case
proxy: {address: 127.0.0.1, cluster: gke}
---
kind: Cluster
metadata: {name: gke}
"""
REVIEWS = """
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec: {{clusterIP: 127.0.0.2, selector: {{app: reviews}}, ports: [{ports}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reviews, labels: {{app: reviews}}}}
status: {{phase: Running, podIP: 127.0.0.11}}
"""


@asynccontextmanager
async def calling_reviews(manifests, target, ports, folder):
    """An Envoy beside a caller at 127.0.0.1, for whom `manifests` hold and who sees a service.

    That is reviews: of ports by their names, all served by one pod without a sidecar at `target`.
    """
    listed = ", ".join(
        f"{{port: {port}, targetPort: {target}, name: {name}}}" for name, port in ports.items()
    )
    case = read_case("---".join((CALLER, manifests, REVIEWS.format(ports=listed))))
    mesh = LoopbackMesh(case.generation(), case.proxy, 0, folder, *free_ports(1))
    mesh.believe(Pki(), "spiffe://cluster.local/ns/default/sa/caller")
    process = await mesh.run()
    try:
        yield
    finally:
        process.kill()
        await process.wait()


class LoopbackMesh:
    """The bootstrap for a proxy's resources, and the Envoy that runs it."""

    def __init__(self, generation, proxy, application_port, folder, admin_port):
        self.folder, self.admin_port = folder, admin_port
        self._application = application_port
        every = {
            url: list(generation.resources(proxy, url, None))
            for url in (UPSTREAM, ENDPOINTS, LISTENER, ROUTES)
        }
        self.bootstrap = Bootstrap()
        self.bootstrap.admin.address.CopyFrom(proto.address("127.0.0.1", admin_port))
        assignments = {one.name: ClusterLoadAssignment.FromString(one.body) for one in every[ENDPOINTS]}
        self._routes = {one.name: RouteConfiguration.FromString(one.body) for one in every[ROUTES]}
        for one in every[UPSTREAM]:
            self._add_upstream(Cluster.FromString(one.body), assignments)
        for one in every[LISTENER]:
            self._add_listener(Listener.FromString(one.body))

    def _add_upstream(self, upstream, assignments):
        if upstream.name.startswith("inbound|"):
            upstream = Cluster(
                name=upstream.name,
                type="STATIC",
                connect_timeout=upstream.connect_timeout,
                typed_extension_protocol_options=upstream.typed_extension_protocol_options,
            )
            upstream.load_assignment.cluster_name = upstream.name
            where = upstream.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
            where.CopyFrom(proto.address("127.0.0.1", self._application))
        elif upstream.type == Cluster.EDS:
            upstream.type = Cluster.STATIC
            upstream.ClearField("eds_cluster_config")
            upstream.load_assignment.CopyFrom(assignments[upstream.name])
        upstream.ClearField("upstream_bind_config")
        for match in upstream.transport_socket_matches:
            if match.transport_socket.name.endswith("tls"):
                with_static_secrets(match.transport_socket)
        if upstream.transport_socket.name.endswith("tls"):
            with_static_secrets(upstream.transport_socket)
        self.bootstrap.static_resources.clusters.append(upstream)

    def _add_listener(self, listener):
        if listener.name == "virtualOutbound":
            return
        if listener.name != "virtualInbound":
            listener.ClearField("bind_to_port")
            address = listener.address.socket_address
            if address.address == POD and listener.HasField("default_filter_chain"):
                listener.default_filter_chain.filters.insert(0, meant_for(f"{POD}:{address.port_value}"))
                address.address = DIRECTLY
            self._with_static_routes(listener)
            self.bootstrap.static_resources.listeners.append(listener)
            return
        kept = [each for each in listener.listener_filters if not each.name.endswith("original_dst")]
        del listener.listener_filters[:]
        listener.listener_filters.extend(kept)
        for chain in listener.filter_chains:
            if chain.HasField("transport_socket"):
                with_static_secrets(chain.transport_socket)
        ports = {chain.filter_chain_match.destination_port.value for chain in listener.filter_chains} - {
            0,
            15006,
        }
        for port in sorted(ports):
            own = copy.deepcopy(listener)
            own.name = f"virtualInbound {port}"
            own.address.CopyFrom(proto.address("127.0.0.1", port))
            self.bootstrap.static_resources.listeners.append(own)

    def _with_static_routes(self, listener):
        for chain in listener.filter_chains:
            for each in chain.filters:
                if each.typed_config.type_url == MANAGER:
                    manager = unpacked(each.typed_config)
                    manager.route_config.CopyFrom(self._routes[manager.rds.route_config_name])
                    each.typed_config.CopyFrom(proto.any_of(manager))

    def believe(self, pki: Pki, identity: str):
        """Give the workload its certificate."""
        shown = pki.leaf(uris=(identity,))
        own, roots = Secret(name="default"), Secret(name="ROOTCA")
        own.tls_certificate.certificate_chain.inline_bytes = shown.certificate
        own.tls_certificate.private_key.inline_bytes = shown.key
        roots.validation_context.trusted_ca.inline_bytes = pki.roots
        self.bootstrap.static_resources.secrets.extend([own, roots])

    async def run(self):
        """Start Envoy and return once it is ready; the caller ends the process."""
        path = self.folder / "envoy.json"
        path.write_text(json_format.MessageToJson(self.bootstrap, descriptor_pool=pool()))
        log = (self.folder / "envoy.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            str(envoy_executable()),
            "-c",
            str(path),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
            stdout=log,
            stderr=log,
        )
        log.close()

        async def ready():
            if process.returncode is not None:
                raise AssertionError((self.folder / "envoy.log").read_text())
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
                writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
            except OSError:  # not yet, or no more: the next look says which
                return False
            writer.close()
            return b"LIVE" in answer

        await eventually(ready)
        return process
