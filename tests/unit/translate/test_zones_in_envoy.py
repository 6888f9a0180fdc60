"""The real Envoy with zone aware routing: calls are shared over zones as explain says they are."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from fakes.loopback_mesh import LoopbackMesh
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.envoy.types import Cluster, ClusterLoadAssignment
from isthmus.translate.names import LOCAL
from isthmus.translate.offline import read_case
from isthmus.translate.trace.endpoint_shares import Callers, endpoint_shares
from isthmus.translate.types import ENDPOINTS, UPSTREAM

CASE = """
kind: Case
proxy: {{cluster: gke, address: 127.0.1.1, locality: eu/a, metadata: {{ENABLE_SELF_DISCOVERY: "true"}}}}
---
kind: Cluster
metadata: {{name: gke}}
---
apiVersion: v1
kind: Service
metadata: {{name: callers}}
spec: {{clusterIP: 127.0.0.3, selector: {{app: callers}}, ports: [{{port: {own}, name: http}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec: {{clusterIP: 127.0.0.2, selector: {{app: reviews}}, ports: [{{port: {port}, targetPort: {target}, name: http}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec:
  host: reviews
  trafficPolicy:
    tls: {{mode: DISABLE}}
    loadBalancer: {{simple: RANDOM, zoneAwareLbSetting: {{minClusterSize: {least}}}}}
"""
POD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {app}-{number}, labels: {{app: {app}, topology.istio.io/locality: {zone}}}}}
status: {{phase: Running, podIP: 127.0.{net}.{number}}}
"""
NAME = "outbound|{port}||reviews.default.svc.cluster.local"
CALLS = 600


def pods(app, net, zones):
    return "".join(POD.format(app=app, net=net, number=i, zone=zone) for i, zone in enumerate(zones, 1))


async def counted(case, ports, folder):
    """How many calls each endpoint got from the sidecar in zone a."""
    port, target, admin = ports
    mesh = LoopbackMesh(case.generation(), case.proxy, 0, folder, admin)
    mesh.believe(Pki(), "spiffe://cluster.local/ns/default/sa/caller")
    node, local = mesh.bootstrap.node, Cluster(name=LOCAL, type="STATIC")
    node.id, node.cluster, node.locality.region, node.locality.zone = "a", "a", "eu", "a"
    mesh.bootstrap.cluster_manager.local_cluster_name = LOCAL
    local.load_assignment.CopyFrom(assignment(case, LOCAL))
    mesh.bootstrap.static_resources.clusters.insert(0, local)
    found, servers = Counter(), []
    for one in endpoints(case, port):
        address = one.partition(":")[0]

        async def serve(reader, writer, address=address):
            while (await reader.readline()).strip():
                while (await reader.readline()).strip():
                    pass
                found[address] += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(serve, address, target))
    process = await mesh.run()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(CALLS):
            writer.write(f"GET / HTTP/1.1\r\nhost: reviews:{port}\r\n\r\n".encode())
            while (line := await reader.readline()).strip():
                assert line != b"HTTP/1.1 503 Service Unavailable\r\n"
        writer.close()
    finally:
        process.kill()
        await process.wait()
        for each in servers:
            each.close()
    return found


def resource(case, type_url, name):
    return next(
        one.body for one in case.generation().resources(case.proxy, type_url, None) if one.name == name
    )


def assignment(case, name):
    return ClusterLoadAssignment.FromString(resource(case, ENDPOINTS, name))


def shares(case, port):
    """What explain says, in per cent by address."""
    name = NAME.format(port=port)
    upstream = Cluster.FromString(resource(case, UPSTREAM, name))
    callers = Callers("eu/a", assignment(case, LOCAL))
    told = endpoint_shares(upstream, assignment(case, name), (), callers)
    return {one.address.partition(":")[0]: one.share for one in told}


def endpoints(case, port):
    return shares(case, port).keys()


@pytest.mark.parametrize(
    ("callers", "served", "least"),
    [
        # As many endpoints here as callers: all calls stay.
        (("eu/a", "eu/b"), ("eu/a", "eu/b"), 1),
        # Fewer: what they cannot take goes where there are more.
        (("eu/a", "eu/b"), ("eu/a", "eu/b", "eu/b", "eu/c"), 1),
        # Nobody else calls: half of the endpoints take half of the calls.
        (("eu/a",), ("eu/a", "eu/b"), 1),
        # Too few for zones to count.
        (("eu/a", "eu/b"), ("eu/a", "eu/b"), 6),
        # None here: calls go where there are more than callers there need.
        (("eu/a", "eu/b"), ("eu/b", "eu/c"), 1),
        (("eu/a", "eu/b"), ("eu/b", "eu/c", "eu/c", "eu/d"), 1),
        # Another region takes over only.
        (("eu/a", "us/a"), ("eu/a", "eu/b", "us/a"), 1),
    ],
)
async def test_calls_are_shared_over_zones_as_is_explained(tmp_path, callers, served, least):
    own, *ports = free_ports(4)
    text = CASE.format(own=own, port=ports[0], target=ports[1], least=least)
    case = read_case(text + pods("callers", 1, callers) + pods("reviews", 2, served))
    expected, found = shares(case, ports[0]), await counted(case, ports, tmp_path)
    assert sum(found.values()) == CALLS
    for address, share in expected.items():
        assert found[address] / CALLS * 100 == pytest.approx(share, abs=9 if 0 < share < 100 else 0.001)
