"""A Pilot, an Envoy and an API server on loopback, for tools that look at them through the API server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from fakes.ads_envoy import envoy
from fakes.embedded_cluster import embedded_cluster
from fakes.eventually import eventually
from fakes.kubectl import Ran
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.api.crd import custom_resource_definitions
from isthmus.app import Pilot
from isthmus.debug.pages import IstioPages
from isthmus.debug.questions import Questions
from isthmus.identity import Identifier, nobody
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import from_file
from isthmus.lab.apiserver.builtin import builtin
from isthmus.settings import PilotSettings
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.serve import GrpcServer
from isthmus.xds.server import AdsServer

SYSTEM = "istio-system"
WEB = "10.1.0.1"


def pod(name, namespace, labels, container, address):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"name": container, "image": "isthmus/isthmus:0.1.0"}]},
        "status": running(address, container),
    }


def running(address, container):
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": container,
                "ready": True,
                "restartCount": 0,
                "image": "x",
                "imageID": "x",
                "started": True,
            }
        ],
    }


class Mesh:
    """What runs, and istioctl pointed at it."""

    def __init__(self, cluster, program):
        self.cluster, self._program = cluster, program

    async def istioctl(self, *words):
        """What istioctl says, without a word of how to come to Pilot."""
        process = await self.cluster.start(self._program, *words)
        async with asyncio.timeout(120):
            out, err = await process.communicate(b"")
        return Ran(out.decode(), err.decode(), process.returncode)

    async def says(self, *words):
        """What it prints where all goes well."""
        ran = await self.istioctl(*words)
        assert ran.code == 0, ran.err + ran.out
        return ran.out


class Ports:
    """Pods' ports by those of this machine."""

    def __init__(self, nodes):
        self._nodes, self.at = nodes, {}

    async def forward(self, namespace, pod, port):
        return await self._nodes.connect(namespace, pod, self.at.get((pod, port), 1))


@asynccontextmanager
async def looked_at_mesh(folder, program):
    """One Pilot as `istio-pilot-1`, one Envoy as `web-1`, a service `web` with a rule, in one cluster."""
    grpc, monitoring = free_ports(2)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(embedded_cluster(folder))
        api = cluster.server.api
        ports = Ports(cluster.nodes)
        cluster.nodes.forward = ports.forward
        await api.create(
            builtin("namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        )
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": SYSTEM},
        }
        await api.create(builtin("serviceaccounts"), account)
        for each in custom_resource_definitions():
            await api.create(builtin("customresourcedefinitions", "apiextensions.k8s.io"), each)
        for made in (
            pod(
                "istio-pilot-1",
                SYSTEM,
                {"app": "istiod", "istio": "pilot", "istio.io/rev": "default"},
                "discovery",
                "10.1.0.9",
            ),
            pod("web-1", "default", {"app": "web", "version": "v1"}, "istio-proxy", WEB),
        ):
            held = await api.create(builtin("pods"), made)
            await api.set_status(builtin("pods"), held, made["status"])
        await _serve(api)
        settings_map = {"mesh": "trustDomain: cluster.local\n", "meshNetworks": "networks: {}\n"}
        meta = {"name": "istio", "namespace": SYSTEM}
        await api.create(
            builtin("configmaps"),
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": settings_map},
        )
        settings = PilotSettings(
            cluster="east",
            address="127.0.0.1",
            grpc_port=grpc,
            secure_grpc_port=0,
            monitoring_port=monitoring,
        )
        pilot = Pilot(settings, from_file(cluster.kubeconfig))
        door = _door(pilot)
        await stack.enter_async_context(supervise(pilot.run(), door.run()))
        (address,) = await door.addresses()
        ports.at |= {
            ("istio-pilot-1", 15010): grpc,
            ("istio-pilot-1", 15012): int(address.rpartition(":")[2]),
            ("istio-pilot-1", 15014): monitoring,
        }
        await eventually(lambda: _listens(grpc), 30)
        proxy = await stack.enter_async_context(envoy(f"127.0.0.1:{grpc}", "delta", folder, node=_node()))
        ports.at["web-1", 15000] = proxy.port
        yield Mesh(cluster, program)


def _door(pilot):
    """As Pilot opens it on loopback where it listens on all addresses, which no test does."""
    shown = Pki().leaf(dns=("istio-pilot.istio-system.svc",))
    pages = IstioPages(pilot.fleet, pilot.builder, pilot.fanout)
    questions = Questions(pages, pilot.fanout, "istio-pilot-1", for_all=False)
    certificate = ServerCertificate(shown.certificate, shown.key)
    asked = AdsServer(pilot.fanout, Identifier(pilot.builder).proxy, nobody, aside=questions)
    listener = Secure("127.0.0.1", 0, lambda: certificate, require_client=False)
    return GrpcServer(asked.services(), [listener])


def _node():
    metadata = {
        "CLUSTER_ID": "east",
        "NAMESPACE": "default",
        "ISTIO_VERSION": "0.1.0",
        "LABELS": {"app": "web"},
    }
    return {
        "id": f"sidecar~{WEB}~web-1.default~default.svc.cluster.local",
        "cluster": "web.default",
        "metadata": metadata,
    }


async def _listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _serve(api):
    meta = {"name": "web", "namespace": "default"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "clusterIP": "10.9.0.1",
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }
    await api.create(builtin("services"), service)
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [WEB],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "default"},
            }
        ],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    await api.create(builtin("endpointslices", "discovery.k8s.io"), piece)
