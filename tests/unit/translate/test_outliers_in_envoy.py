"""The real Envoy with a stretched service without outlierDetection: who is asked when answers go wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fakes.eventually import eventually
from fakes.loopback_mesh import LoopbackMesh
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.translate.offline import read_case

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: reviews}}}}
spec: {{nodeName: {node}}}
status: {{phase: Running, podIP: {address}}}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {{topology.kubernetes.io/region: {name}}}}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec: {{clusterIP: 127.0.0.2, selector: {{app: reviews}}, ports: [{{port: {port}, targetPort: {target}, name: http}}]}}
"""
CLUSTER = "kind: Cluster\nmetadata: {{name: {name}}}\n"
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, trafficPolicy: {{loadBalancer: {{localityLbSetting: {setting}}}}}}}
"""
PODS = {"gke": "127.0.0.11", "onprem": "127.0.0.12"}
NEAREST = "{enabled: true}"
ALL_TO_THE_FAR = "{distribute: [{from: 'gke/*', to: {'onprem/*': 100}}]}"


class Application:
    """A pod's application, which answers with the status that it is told to, and counts."""

    def __init__(self):
        self.status, self.asked = 200, 0

    async def serve(self, reader, writer):
        while (await reader.readline()).strip():
            while (await reader.readline()).strip():
                pass
            self.asked += 1
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.status)
            await writer.drain()
        writer.close()


class Reviews:
    """The service: its pods by cluster, and calls of it through the sidecar."""

    def __init__(self, port, admin, pods):
        self._port, self._admin, self.pods = port, admin, pods

    async def call(self):
        """The status of the answer."""
        head = await _get(self._port, "/", f"reviews:{self._port}")
        return int(head.split()[1])

    async def calls(self, times):
        return [await self.call() for _ in range(times)]

    async def fails_until_all_are_put_aside(self):
        """Lets all pods fail until Envoy knows nobody else to ask, then lets them answer."""
        for each in self.pods.values():
            each.status = 503

        async def nobody_is_well():
            await self.calls(5)
            stats = await _get(self._admin, "/stats?filter=lb_healthy_panic", "admin")
            return any(
                line.startswith("cluster.outbound") and line[-2:] != " 0" for line in stats.splitlines()
            )

        await eventually(nobody_is_well)
        for each in self.pods.values():
            each.status = 200


async def _get(port, path, host):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


@asynccontextmanager
async def reviews(folder, clusters, setting=""):
    """A sidecar in gke that calls reviews, which has a pod in each of these clusters.

    With a setting for localities each cluster is a region.
    """
    port, target, admin = free_ports(3)
    texts = ["kind: Case\nproxy: {address: 127.0.0.1, cluster: gke, locality: gke}\n"]
    for name, address in PODS.items():
        texts += [CLUSTER.format(name=name), SERVICE.format(port=port, target=target)]
        texts += [NODE.format(name=name), RULE.format(setting=setting)] if setting else []
        texts += [POD.format(name=f"reviews-{name}", address=address, node=name)] if name in clusters else []
    case = read_case("---\n".join(texts))
    mesh = LoopbackMesh(case.generation(), case.proxy, 0, folder, admin)
    mesh.believe(Pki(), "spiffe://cluster.local/ns/default/sa/caller")
    pods = {name: Application() for name in clusters}
    servers = [await asyncio.start_server(one.serve, PODS[name], target) for name, one in pods.items()]
    process = await mesh.run()
    try:
        yield Reviews(port, admin, pods)
    finally:
        process.kill()
        await process.wait()
        for each in servers:
            each.close()


async def test_the_only_endpoint_is_asked_on_and_on_though_its_answers_put_it_aside(tmp_path):
    async with reviews(tmp_path, ("onprem",)) as service:
        await service.fails_until_all_are_put_aside()
        before = service.pods["onprem"].asked
        assert await service.calls(10) == [200] * 10
        assert service.pods["onprem"].asked == before + 10


async def test_an_endpoint_whose_answers_put_it_aside_is_spared_while_another_is_well(tmp_path):
    async with reviews(tmp_path, ("gke", "onprem")) as service:
        near, far = service.pods.values()
        near.status = 502

        async def is_spared():
            before, so_far = near.asked, far.asked
            answers = await service.calls(10)
            return (answers, near.asked, far.asked) == ([200] * 10, before, so_far + 10)

        # Envoy may wait a second until its workers know who was put aside.
        await eventually(is_spared)


async def test_all_endpoints_are_asked_when_none_is_well(tmp_path):
    async with reviews(tmp_path, ("gke", "onprem")) as service:
        await service.fails_until_all_are_put_aside()
        before = [each.asked for each in service.pods.values()]
        assert await service.calls(40) == [200] * 40
        assert all(each.asked > one for each, one in zip(service.pods.values(), before, strict=True))


@pytest.mark.parametrize(("setting", "first"), [(NEAREST, "gke"), (ALL_TO_THE_FAR, "onprem")])
async def test_the_other_cluster_takes_over_from_the_one_that_is_meant_to_answer(tmp_path, setting, first):
    async with reviews(tmp_path, ("gke", "onprem"), setting) as service:
        meant = service.pods[first]
        assert await service.calls(10) == [200] * 10
        assert meant.asked == 10
        meant.status = 503

        async def is_put_aside():
            await service.calls(5)
            return await service.calls(5) == [200] * 5

        await eventually(is_put_aside)
        assert sum(each.asked for each in service.pods.values()) > meant.asked
