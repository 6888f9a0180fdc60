from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from fakes.eventually import eventually
from fakes.objects_of import ENDPOINTS, PODS, SERVICES, SLICES, bare_api, pod, service
from isthmus.lab.apiserver.api import Target
from isthmus.lab.controllers.endpoints import (
    EndpointsController,
    endpoints_object,
    mirrored,
    slices,
    target_ports,
)

ZONES = {"n1": "west-a"}


def served(name, address, *, ready=True, leaving=False, ports=(), labels=None, **spec):
    made = pod(name, labels or {"app": "web"}, nodeName="n1", **spec)
    made["spec"]["containers"][0]["ports"] = [dict(each) for each in ports]
    made["metadata"]["uid"] = f"uid-{name}"
    if leaving:
        made["metadata"]["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    status = "True" if ready else "False"
    made["status"] = {
        "phase": "Running",
        "podIP": address,
        "conditions": [{"type": "Ready", "status": status}],
    }
    return made


def selecting(*ports, **spec):
    made = service(ports=ports or [{"port": 80}], selector={"app": "web"}, clusterIP="10.0.0.50", **spec)
    made["metadata"]["uid"] = "uid-web"
    return made


def subsets(made, pods):
    return endpoints_object(made, pods).get("subsets", [])


def addresses(subset, field="addresses"):
    return [each["ip"] for each in subset.get(field, [])]


def one_slice(made, pods):
    (found,) = slices(made, pods, lambda node: ZONES.get(node, ""))
    return found


def test_ready_pods_are_addresses_and_the_others_wait():
    pods = [served("b", "10.1.0.2"), served("a", "10.1.0.1", ready=False)]
    (subset,) = subsets(selecting(), pods)
    assert (addresses(subset), addresses(subset, "notReadyAddresses")) == (["10.1.0.2"], ["10.1.0.1"])
    assert subset["addresses"][0]["targetRef"] == {
        "kind": "Pod",
        "name": "b",
        "namespace": "default",
        "uid": "uid-b",
    }


def test_a_named_port_is_the_pods_own():
    made = selecting({"name": "http", "port": 80, "targetPort": "web"})
    pods = [served("a", "10.1.0.1", ports=[{"name": "web", "containerPort": 8080}])]
    assert target_ports(made, pods[0]) == [("http", 8080, "TCP")]
    assert subsets(made, pods)[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_pods_whose_named_ports_differ_are_told_apart():
    made = selecting({"name": "http", "port": 80, "targetPort": "web"})
    pods = [
        served("a", "10.1.0.1", ports=[{"name": "web", "containerPort": 8080}]),
        served("b", "10.1.0.2", ports=[{"name": "web", "containerPort": 9090}]),
        served("c", "10.1.0.3"),
    ]
    assert [(addresses(each), each["ports"][0]["port"]) for each in subsets(made, pods)] == [
        (["10.1.0.1"], 8080),
        (["10.1.0.2"], 9090),
    ]
    found = slices(made, pods, lambda _: "")
    assert [(each["endpoints"][0]["addresses"], each["ports"][0]["port"]) for each in found] == [
        (["10.1.0.1"], 8080),
        (["10.1.0.2"], 9090),
    ]
    assert len({each["metadata"]["name"] for each in found}) == 2


def test_a_pod_that_leaves_takes_nothing_new():
    pods = [served("a", "10.1.0.1", leaving=True)]
    assert subsets(selecting(), pods) == []
    (entry,) = one_slice(selecting(), pods)["endpoints"]
    assert entry["conditions"] == {"ready": False, "serving": True, "terminating": True}


def test_where_readiness_does_not_matter_all_are_addresses():
    pods = [served("a", "10.1.0.1", ready=False)]
    made = selecting(publishNotReadyAddresses=True)
    assert addresses(subsets(made, pods)[0]) == ["10.1.0.1"]
    (entry,) = one_slice(made, pods)["endpoints"]
    assert entry["conditions"] == {"ready": True, "serving": False, "terminating": False}


def test_a_slice_says_whose_it_is_and_where_its_endpoints_are():
    found = one_slice(selecting({"name": "http", "port": 80}), [served("a", "10.1.0.1")])
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-web"
    assert found["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    (entry,) = found["endpoints"]
    assert (entry["nodeName"], entry["zone"]) == ("n1", "west-a")


def test_a_host_name_counts_in_the_pods_own_subdomain_only():
    own = served("a", "10.1.0.1", hostname="a-0", subdomain="web")
    other = served("b", "10.1.0.2", hostname="b-0", subdomain="shop")
    entries = one_slice(selecting(), [own, other])["endpoints"]
    assert [entry.get("hostname") for entry in entries] == ["a-0", None]


def test_a_service_that_nobody_serves_has_one_empty_slice():
    assert one_slice(selecting(), [])["endpoints"] == []
    assert "subsets" not in endpoints_object(selecting(), [])


def test_a_headless_service_needs_no_ports():
    made = service(ports=(), selector={"app": "web"}, clusterIP="None")
    made["metadata"]["uid"] = "uid-web"
    pods = [served("a", "10.1.0.1")]
    assert addresses(subsets(made, pods)[0]) == ["10.1.0.1"]
    found = one_slice(made, pods)
    assert [each["addresses"] for each in found["endpoints"]] == [["10.1.0.1"]]
    assert "service.kubernetes.io/headless" in found["metadata"]["labels"]


def test_hand_made_endpoints_are_mirrored_subset_by_subset():
    made = selecting()
    hand_made = {
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "blue"}},
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1", "hostname": "one"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [{"name": "http", "port": 80}],
            },
            {"addresses": [{"ip": "192.0.2.3"}], "ports": [{"name": "http", "port": 8080}]},
        ],
    }
    first, second = mirrored(made, hand_made)
    assert first["endpoints"] == [
        {"addresses": ["192.0.2.1"], "conditions": {"ready": True}, "hostname": "one"},
        {"addresses": ["192.0.2.2"], "conditions": {"ready": False}},
    ]
    assert second["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert first["metadata"]["labels"]["team"] == "blue"
    manager = first["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert manager == "endpointslicemirroring-controller.k8s.io"


@asynccontextmanager
async def controlled():
    api = await bare_api()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(EndpointsController(api).run())
        yield api
        running.cancel()
    api.store.close()


def in_slices(api):
    return [
        address
        for each in api.list(SLICES, "default").items
        for entry in each["endpoints"]
        for address in entry["addresses"]
    ]


def in_endpoints(api):
    found = api.find(ENDPOINTS, "default", "web") or {}
    return [address for subset in found.get("subsets", []) for address in addresses(subset)]


async def becomes(api, wanted):
    async def is_so():
        return in_slices(api) == in_endpoints(api) == wanted

    await eventually(is_so, 10)


async def test_endpoints_follow_pods_and_go_with_their_service():
    async with controlled() as api:
        await api.create(SERVICES, selecting())
        made = await api.create(PODS, pod("a", {"app": "web"}))
        await api.create(PODS, pod("b", {"app": "shop"}))
        await api.set_status(PODS, made, served("a", "10.1.0.1")["status"])
        await becomes(api, ["10.1.0.1"])
        await api.delete(Target(PODS, "default", "a"))
        await becomes(api, [])
        await api.delete(Target(SERVICES, "default", "web"))

        async def gone():
            return not api.find(ENDPOINTS, "default", "web") and not api.list(SLICES, "default").items

        await eventually(gone, 10)


async def test_hand_made_endpoints_wait_for_their_service_and_are_mirrored_while_they_are_there():
    async with controlled() as api:
        hand_made = {
            "metadata": {"name": "web", "namespace": "default"},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}],
        }
        await api.create(ENDPOINTS, hand_made)
        await api.create(SERVICES, service("other", selector={"app": "x"}))

        async def other_is_served():
            return api.find(ENDPOINTS, "default", "other") is not None

        await eventually(other_is_served, 10)
        assert in_endpoints(api) == ["192.0.2.1"], "nobody takes them away before their Service comes"
        await api.create(SERVICES, service())
        await becomes_mirrored(api, ["192.0.2.1"])
        await api.delete(Target(ENDPOINTS, "default", "web"))
        await becomes_mirrored(api, [])


async def becomes_mirrored(api, wanted):
    async def is_so():
        found = api.list(SLICES, "default", "kubernetes.io/service-name=web").items
        return [a for each in found for entry in each["endpoints"] for a in entry["addresses"]] == wanted

    await eventually(is_so, 10)
