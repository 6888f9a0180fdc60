from __future__ import annotations

import asyncio

import pytest

from fakes.eventually import eventually
from fakes.scripted_api import ScriptedApi, added, bookmark, refuses, says
from fakes.two_clusters import service, two_clusters
from isthmus.api.core.endpoint_slice import EndpointConditions, EndpointPort, EndpointSlice, SliceEndpoint
from isthmus.api.core.service import Service, ServicePort, ServiceSpec
from isthmus.api.resource import Meta, Ref
from isthmus.discovery import follower
from isthmus.discovery.follower import Address, Follower, control_plane, control_planes, endpoints
from isthmus.discovery.selection import FOLLOWS
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.translate.offline import read_case

PORTS = (("grpc-xds", 15010), ("https-xds", 15012))


def at(*ips, ports=PORTS):
    return {"istio-pilot": tuple(Address(ip, ports) for ip in ips)}


@pytest.fixture
async def west(tmp_path, api_server):
    async with two_clusters(tmp_path) as (_, second):
        yield second


def followed_service():
    made = service("istio-pilot", "istio-system", clusterIP="None")
    made["metadata"]["labels"] = {FOLLOWS: "control-plane"}
    return made


async def until_written(west, *ips):
    async def written():
        found = await west.find("endpoints", "istio-system", "istio-pilot")
        subsets = found.get("subsets", []) if found else []
        return [each["ip"] for subset in subsets for each in subset["addresses"]] == list(ips)

    await eventually(written)


async def test_endpoints_follow_the_control_plane(west):
    plane = Watchable({"west": at("10.0.0.1")})
    async with (
        Client(west.access) as client,
        supervise(Follower(client, ("istio-system", "west"), plane, Watchable(True)).run()),
    ):
        await west.create("services", followed_service())
        await until_written(west, "10.0.0.1")
        found = await west.find("endpoints", "istio-system", "istio-pilot")
        assert found["subsets"][0]["ports"] == [
            {"name": "grpc-xds", "port": 15010, "protocol": "TCP"},
            {"name": "https-xds", "port": 15012, "protocol": "TCP"},
        ]
        plane.set({"west": at("10.0.0.3", "10.0.0.2")})
        await until_written(west, "10.0.0.2", "10.0.0.3")


async def test_endpoints_that_others_overwrite_become_true_again(west, monkeypatch):
    # Whoever installs a remote cluster twice applies the addresses that were true the first time.
    monkeypatch.setattr(follower, "_WRITE_AGAIN_S", 0.05)
    plane = Watchable({"west": at("10.0.0.1")})
    stale = endpoints("istio-pilot", "istio-system", at("10.0.0.9")["istio-pilot"])
    async with (
        Client(west.access) as client,
        supervise(Follower(client, ("istio-system", "west"), plane, Watchable(True)).run()),
    ):
        await west.create("services", followed_service())
        await until_written(west, "10.0.0.1")
        await client.apply(follower._ENDPOINTS, stale, "kubectl")
        await until_written(west, "10.0.0.1")


async def test_endpoints_stay_while_no_address_is_known(west):
    plane = Watchable({"west": {}})
    there = endpoints("istio-pilot", "istio-system", at("10.0.0.9")["istio-pilot"])
    await west.create("endpoints", there)
    await west.create("services", followed_service())
    other = followed_service()
    other["metadata"]["name"] = "istio-other"
    async with (
        Client(west.access) as client,
        supervise(Follower(client, ("istio-system", "west"), plane, Watchable(True)).run()),
    ):
        plane.set({"west": at("10.0.0.1")})
        await until_written(west, "10.0.0.1")
        plane.set({"west": {}})
        await west.create("services", other)
        plane.set({"west": {"istio-other": at("10.0.0.5")["istio-pilot"]}})

        async def other_written():
            return await west.find("endpoints", "istio-system", "istio-other") is not None

        await eventually(other_written)
        await until_written(west, "10.0.0.1")


async def test_services_without_the_label_are_left_alone(west):
    await west.create("services", service("mine", "istio-system", clusterIP="None"))
    await west.create("services", followed_service())
    plane = Watchable({"west": at("10.0.0.1") | {"mine": at("10.0.0.1")["istio-pilot"]}})
    async with (
        Client(west.access) as client,
        supervise(Follower(client, ("istio-system", "west"), plane, Watchable(True)).run()),
    ):
        await until_written(west, "10.0.0.1")
        assert await west.find("endpoints", "istio-system", "mine") is None


async def test_a_write_that_fails_is_tried_again():
    writes = []

    async def answer(request):
        if request.method == "PATCH":
            writes.append(await request.json())
            return await (refuses(500, "InternalError") if len(writes) == 1 else says({}))(request)
        event = added("istio-pilot", 1)
        event["object"]["metadata"]["namespace"] = "istio-system"
        return await api.holds(event, bookmark(2, ends_list=True))(request)

    api = ScriptedApi(answer)
    plane = Watchable({"west": at("10.0.0.1")})

    async def twice():
        return len(writes) == 2

    async with api.serving(), Client(api.access()) as client:
        follower = Follower(client, ("istio-system", "west"), plane, Watchable(True))
        async with supervise(follower.run()):
            await eventually(twice)
    assert writes[0] == writes[1]


def test_addresses_with_the_same_ports_are_one_subset():
    other = (("https-xds", 15012),)
    addresses = (Address("10.0.0.2", PORTS), Address("10.0.0.1", PORTS), Address("10.0.0.3", other))
    subsets = endpoints("a", "b", addresses)["subsets"]
    assert [[each["ip"] for each in subset["addresses"]] for subset in subsets] == [
        ["10.0.0.1", "10.0.0.2"],
        ["10.0.0.3"],
    ]


def test_the_control_plane_is_its_healthy_endpoints_in_the_configuration_cluster():
    def changes(cluster, ip):
        meta = Meta(name="istio-pilot", namespace="istio-system")
        ports = (ServicePort(port=15010, name="grpc-xds"),)
        found = Service(metadata=meta, spec=ServiceSpec(ports=ports, cluster_ip="10.1.0.1"))
        slice_meta = Meta(
            name="s", namespace="istio-system", labels={"kubernetes.io/service-name": "istio-pilot"}
        )
        slices = EndpointSlice(
            metadata=slice_meta,
            endpoints=(
                SliceEndpoint(addresses=(ip,)),
                SliceEndpoint(addresses=("10.9.9.9",), conditions=EndpointConditions(ready=False)),
            ),
            ports=(EndpointPort(name="grpc-xds", port=15010),),
        )
        for name, each in (("Service", found), ("EndpointSlice", slices)):
            yield Change(ChangeKey(cluster, Ref(name, "istio-system", each.metadata.name)), each)

    builder = MeshBuilder(MeshSettings(config_cluster="east"))
    assert control_plane(builder.mesh, "istio-system", "west") == {}
    mesh, _ = builder.apply([*changes("east", "10.0.0.1"), *changes("west", "10.0.0.2")])
    assert control_plane(mesh, "istio-system", "west") == {
        "istio-pilot": (Address("10.0.0.1", (("grpc-xds", 15010),)),)
    }


def test_across_networks_the_control_plane_is_reached_through_gateways():
    text = """
kind: Cluster
metadata: {name: east}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: east-net}}
---
apiVersion: v1
kind: Service
metadata: {name: istio-pilot, namespace: istio-system}
spec: {clusterIP: 10.1.0.1, selector: {istio: pilot}, ports: [{name: https-xds, port: 15012}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pilot, namespace: istio-system, labels: {istio: pilot}}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: gateway, namespace: istio-system, labels: {topology.istio.io/network: east-net}}
spec: {clusterIP: 10.1.0.2, ports: [{name: tls, port: 15443}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
---
kind: Cluster
metadata: {name: west}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: west-net}}
"""
    mesh = read_case(text).generation().mesh
    direct = (Address("10.0.0.1", (("https-xds", 15012),)),)
    through = (Address("203.0.113.1", (("https-xds", 15012),)),)
    planes = control_planes(mesh, "istio-system", ["east", "west"])
    assert planes == {"east": {"istio-pilot": direct}, "west": {"istio-pilot": through}}


async def test_of_several_pilots_the_one_that_leads_writes(west, monkeypatch):
    monkeypatch.setattr(follower, "_WRITE_AGAIN_S", 0.05)
    old, new = Watchable({"west": at("10.0.0.1")}), Watchable({"west": at("10.0.0.2")})
    leads, follows = Watchable(True), Watchable(False)
    async with (
        Client(west.access) as client,
        supervise(
            Follower(client, ("istio-system", "west"), old, follows).run(),
            Follower(client, ("istio-system", "west"), new, leads).run(),
        ),
    ):
        await west.create("services", followed_service())
        await until_written(west, "10.0.0.2")
        version = (await west.find("endpoints", "istio-system", "istio-pilot"))["metadata"]["resourceVersion"]
        await asyncio.sleep(0.5)
        found = await west.find("endpoints", "istio-system", "istio-pilot")
        assert found["metadata"]["resourceVersion"] == version, "who does not lead overwrites nothing"
        leads.set(False)
        follows.set(True)
        await until_written(west, "10.0.0.1")


def test_each_revision_is_reached_by_its_own_names():
    text = """
kind: Cluster
metadata: {name: east}
"""
    for name, port in (("istio-pilot", "https-xds"), ("istiod", "https-dns")):
        for revision, ip in (("", "10.0.0.1"), ("-canary", "10.0.0.2")):
            text += f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}{revision}, namespace: istio-system}}
spec: {{clusterIP: 10.1.0.1, ports: [{{name: {port}, port: 15012}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}{revision}
  namespace: istio-system
  labels: {{kubernetes.io/service-name: {name}{revision}}}
addressType: IPv4
ports: [{{name: {port}, port: 15012}}]
endpoints: [{{addresses: [{ip}]}}]
"""
    mesh = read_case(text).generation().mesh
    for revision, ending, ip in (("default", "", "10.0.0.1"), ("canary", "-canary", "10.0.0.2")):
        planes = control_planes(mesh, "istio-system", ["west"], revision)
        assert planes["west"] == {
            f"istio-pilot{ending}": (Address(ip, (("https-xds", 15012),)),),
            f"istiod{ending}": (Address(ip, (("https-dns", 15012),)),),
        }
