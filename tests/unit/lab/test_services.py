from __future__ import annotations

import pytest

from fakes.objects_of import SERVICES, bare_api, service
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers.endpoints import mirrored
from isthmus.lab.controllers.services import ServiceAddresses
from isthmus.lab.service_proxy import ServiceVip
from isthmus.lab.spec import TALK, with_families
from isthmus.lab.vips import Vips

WEB = Target(SERVICES, "default", "web")
SPEC = TALK.clusters[0]
NODE = SPEC.node_address
SLICES = builtin("endpointslices", "discovery.k8s.io")
BOTH = with_families(TALK, "both").clusters[0]


@pytest.fixture
async def api():
    made = await bare_api()
    made.prepare["", "services"] = ServiceAddresses(made, (SPEC.service_cidr,), NODE).prepare
    yield made
    made.store.close()


async def put_slices(api, made, endpoints):
    for each in mirrored(made, endpoints):
        await api.create(SLICES, each)


async def refusal(awaitable):
    with pytest.raises(ApiError) as refused:
        await awaitable
    assert refused.value.code == 422
    return refused.value.message


async def test_a_service_gets_an_address_of_its_own(api):
    given = [(await api.create(SERVICES, service(f"web{number}")))["spec"] for number in range(5)]
    assert len({spec["clusterIP"] for spec in given}) == 5
    assert all(spec["clusterIP"].startswith("10.125.0.") for spec in given)
    assert all(spec["clusterIPs"] == [spec["clusterIP"]] for spec in given)


async def test_a_service_has_the_families_that_it_asks_for(api):
    ranges = tuple(each.service_cidr for each in BOTH.families)
    api.prepare["", "services"] = ServiceAddresses(api, ranges, NODE).prepare
    usual = (await api.create(SERVICES, service("usual")))["spec"]
    assert (usual["ipFamilies"], len(usual["clusterIPs"])) == (["IPv4"], 1)
    both = (await api.create(SERVICES, service("both", ipFamilyPolicy="PreferDualStack")))["spec"]
    assert both["ipFamilies"] == ["IPv4", "IPv6"]
    assert [":" in each for each in both["clusterIPs"]] == [False, True]
    assert both["clusterIP"] == both["clusterIPs"][0]
    six = (await api.create(SERVICES, service("six", ipFamilies=["IPv6"])))["spec"]
    assert six["clusterIP"].startswith("fd00:1:2::")
    assert six["clusterIP"] not in both["clusterIPs"]
    patch = {"spec": {"ipFamilyPolicy": "RequireDualStack"}}
    more = await api.patch(Target(SERVICES, "default", "six"), patch, MERGE_PATCH)
    assert more["spec"]["ipFamilies"] == ["IPv6", "IPv4"]
    assert more["spec"]["clusterIPs"][0] == six["clusterIP"]
    headless = await api.create(SERVICES, service("pods", clusterIP="None", ipFamilyPolicy="PreferDualStack"))
    assert headless["spec"]["ipFamilies"] == ["IPv4", "IPv6"]


async def test_families_that_the_cluster_has_not_are_refused(api):
    assert "ipFamilies[0]" in await refusal(api.create(SERVICES, service(ipFamilies=["IPv6"])))
    message = await refusal(api.create(SERVICES, service(ipFamilyPolicy="RequireDualStack")))
    assert "not configured for dual-stack" in message
    single = await api.create(SERVICES, service(ipFamilyPolicy="PreferDualStack"))
    assert single["spec"]["ipFamilies"] == ["IPv4"]


async def test_the_address_stays_whatever_is_written(api):
    address = (await api.create(SERVICES, service()))["spec"]["clusterIP"]
    replaced = await api.update(WEB, service(ports=[{"port": 81}]))
    assert replaced["spec"]["clusterIP"] == address
    patched = await api.patch(WEB, {"spec": {"selector": {"app": "web"}}}, MERGE_PATCH)
    assert patched["spec"]["clusterIP"] == address


async def test_an_address_that_is_asked_for_is_given_unless_it_is_taken(api):
    made = await api.create(SERVICES, service(clusterIP="10.125.7.7"))
    assert made["spec"]["clusterIP"] == "10.125.7.7"
    assert "10.125.7.7" in await refusal(api.create(SERVICES, service("other", clusterIP="10.125.7.7")))


@pytest.mark.parametrize("address", ["10.9.9.9", "web"])
async def test_an_address_outside_the_range_is_refused(api, address):
    message = await refusal(api.create(SERVICES, service(clusterIP=address)))
    assert "spec.clusterIP" in message


async def test_an_address_cannot_be_changed(api):
    await api.create(SERVICES, service())
    assert "field is immutable" in await refusal(
        api.patch(WEB, {"spec": {"clusterIP": "10.125.7.7", "clusterIPs": ["10.125.7.7"]}}, MERGE_PATCH)
    )


async def test_a_headless_service_has_no_address_and_stays_so(api):
    assert (await api.create(SERVICES, service(clusterIP="None")))["spec"]["clusterIP"] == "None"
    assert (await api.update(WEB, service(ports=[{"port": 81}])))["spec"]["clusterIP"] == "None"


async def test_an_external_name_has_no_address(api):
    made = await api.create(SERVICES, service(ports=(), type="ExternalName", externalName="example.com"))
    assert not made["spec"].get("clusterIP")


async def test_node_ports_are_given_kept_and_taken_back(api):
    made = await api.create(
        SERVICES, service(type="NodePort", ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}])
    )
    first, second = (port["nodePort"] for port in made["spec"]["ports"])
    assert first != second
    again = await api.update(WEB, service(type="NodePort", ports=[{"port": 81, "name": "b"}]))
    assert again["spec"]["ports"][0]["nodePort"] == second
    plain = await api.patch(WEB, {"spec": {"type": "ClusterIP"}}, MERGE_PATCH)
    assert "nodePort" not in plain["spec"]["ports"][0]


async def test_a_node_port_that_is_taken_or_out_of_range_is_refused(api):
    await api.create(SERVICES, service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    asked = service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    assert "provided port is already allocated" in await refusal(api.create(SERVICES, asked))
    asked = service("other", type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    assert "The range of valid ports is 30000-32767" in await refusal(api.create(SERVICES, asked))


async def test_a_load_balancer_is_the_node(api):
    made = await api.create(SERVICES, service(type="LoadBalancer"))
    assert made["status"]["loadBalancer"] == {"ingress": [{"ip": NODE}]}
    plain = await api.patch(WEB, {"spec": {"type": "ClusterIP"}}, MERGE_PATCH)
    assert plain["status"]["loadBalancer"] == {}


def vips(api):
    found = Vips(api, SPEC, None)._all()
    return {(each.address, each.protocol, each.port): each.backends for each in found}


async def test_addresses_lead_to_what_is_ready_behind_the_same_port_name(api):
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    made = await api.create(SERVICES, service(ports=ports))
    await put_slices(
        api,
        made,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "subsets": [
                {
                    "addresses": [{"ip": "10.124.0.9"}, {"ip": "10.124.0.8"}],
                    "notReadyAddresses": [{"ip": "10.124.0.7"}],
                    "ports": [{"name": "http", "port": 8080}],
                }
            ],
        },
    )
    address = made["spec"]["clusterIP"]
    assert vips(api)[address, "tcp", 80] == (("10.124.0.8", 8080), ("10.124.0.9", 8080))
    assert vips(api)[address, "udp", 53] == (), "refused at once"


async def test_the_api_and_dns_have_their_own_addresses(api):
    found = vips(api)
    assert found[SPEC.api_service_address, "tcp", 443] == ((SPEC.api_address, 6443),)
    assert found[SPEC.dns_address, "udp", 53] == found[SPEC.dns_address, "tcp", 53] == ((NODE, 53),)


async def test_the_first_load_balancer_has_the_nodes_port_and_dns_keeps_its_own(api):
    for name, port in (("one", 80), ("two", 80), ("dns", 53)):
        await api.create(SERVICES, service(name, type="LoadBalancer", ports=[{"port": port}]))
    await put_slices(
        api,
        api.find(SERVICES, "default", "one"),
        {
            "metadata": {"name": "one", "namespace": "default"},
            "subsets": [{"addresses": [{"ip": "10.124.0.9"}], "ports": [{"port": 80}]}],
        },
    )
    found = vips(api)
    assert found[NODE, "tcp", 80] == (("10.124.0.9", 80),)
    assert (NODE, "tcp", 53) not in found
    assert ServiceVip(NODE, "tcp", 80, (("10.124.0.9", 80),)) in Vips(api, SPEC, None)._all()


async def test_headless_services_have_no_address_to_lead_anywhere(api):
    before = vips(api)
    await api.create(SERVICES, service(clusterIP="None"))
    assert vips(api) == before
