from __future__ import annotations

import asyncio
import socket

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import SERVICES, SLICES, bare_api, service
from isthmus.lab.cluster_dns import DnsServer, Zone


@pytest.fixture
async def api():
    made = await bare_api()
    await made.create(
        SERVICES,
        service(clusterIP="10.0.0.50", ports=[{"name": "http", "port": 80}, {"name": "x", "port": 81}]),
    )
    await made.create(SERVICES, service("pods", clusterIP="None", ports=[{"name": "http", "port": 80}]))
    yield made
    made.store.close()


async def add_endpoints(api, *endpoints):
    await api.create(
        SLICES,
        {
            "metadata": {
                "name": "pods-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "pods"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [address], "conditions": {"ready": ready}}
                | ({"hostname": host} if host else {})
                for address, ready, host in endpoints
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
    )


def ask(api, name, kind="A"):
    """The answer as a resolver reads it: its code, and each record as text."""
    wire = DnsServer(Zone(api)).answer(dns.message.make_query(name, kind).to_wire(), limit=None)
    response = dns.message.from_wire(wire)
    records = [
        f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {each.to_text()}"
        for rrset in response.answer
        for each in rrset
    ]
    return dns.rcode.to_text(response.rcode()), sorted(records)


WEB, PODS = "web.default.svc.cluster.local.", "pods.default.svc.cluster.local."
NODATA, NXDOMAIN = ("NOERROR", []), ("NXDOMAIN", [])


async def test_a_service_is_its_cluster_address(api):
    assert ask(api, WEB) == ("NOERROR", [f"{WEB} A 10.0.0.50"])


async def test_names_are_the_same_in_any_case(api):
    assert ask(api, "Web.Default.SVC.cluster.local.") == (
        "NOERROR",
        ["Web.Default.SVC.cluster.local. A 10.0.0.50"],
    )


@pytest.mark.parametrize(
    "name",
    [
        "missing.default.svc.cluster.local.",
        "web.missing.svc.cluster.local.",
        "missing.svc.cluster.local.",
        "a.web.default.svc.cluster.local.",
        "a.b.c.web.default.svc.cluster.local.",
        "web.default.svc.cluster.local.svc.cluster.local.",
        "example.com.",
        "web.",
        "9.9.9.9.in-addr.arpa.",
        "x.in-addr.arpa.",
        "_http._udp.web.default.svc.cluster.local.",
        "_missing._tcp.web.default.svc.cluster.local.",
    ],
)
@pytest.mark.parametrize("kind", ["A", "AAAA"])
async def test_a_name_that_means_nothing_does_not_exist(api, name, kind):
    assert ask(api, name, kind) == NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (WEB, "AAAA"),
        (WEB, "TXT"),
        (PODS, "A"),
        ("default.svc.cluster.local.", "A"),
        ("svc.cluster.local.", "A"),
        ("cluster.local.", "A"),
        (f"_tcp.{WEB}", "SRV"),
        (f"_http._tcp.{WEB}", "A"),
    ],
)
async def test_a_name_without_records_of_that_type_exists_all_the_same(api, name, kind):
    assert ask(api, name, kind) == NODATA


async def test_a_headless_service_is_all_its_endpoints_that_are_ready(api):
    await add_endpoints(api, ("10.1.0.1", True, ""), ("10.1.0.2", True, "two"), ("10.1.0.3", False, ""))
    assert ask(api, PODS) == ("NOERROR", [f"{PODS} A 10.1.0.1", f"{PODS} A 10.1.0.2"])
    assert ask(api, f"two.{PODS}") == ("NOERROR", [f"two.{PODS} A 10.1.0.2"])
    assert ask(api, f"10-1-0-1.{PODS}") == ("NOERROR", [f"10-1-0-1.{PODS} A 10.1.0.1"])
    assert ask(api, f"10-1-0-3.{PODS}") == NXDOMAIN
    assert ask(api, f"two.{PODS}", "AAAA") == NODATA


async def test_a_named_port_is_found_at_the_service_or_at_each_endpoint(api):
    assert ask(api, f"_http._tcp.{WEB}", "SRV") == ("NOERROR", [f"_http._tcp.{WEB} SRV 0 100 80 {WEB}"])
    await add_endpoints(api, ("10.1.0.1", True, ""), ("10.1.0.2", True, "two"))
    assert ask(api, f"_http._tcp.{PODS}", "SRV") == (
        "NOERROR",
        [
            f"_http._tcp.{PODS} SRV 0 100 8080 10-1-0-1.{PODS}",
            f"_http._tcp.{PODS} SRV 0 100 8080 two.{PODS}",
        ],
    )


async def test_an_address_has_the_name_of_its_service(api):
    name = "50.0.0.10.in-addr.arpa."
    assert ask(api, name, "PTR") == ("NOERROR", [f"{name} PTR {WEB}"])
    assert ask(api, name, "A") == NODATA


async def test_an_external_name_is_an_alias_and_one_of_the_cluster_is_followed(api):
    for name, target in (("far", "example.com"), ("near", WEB.rstrip("."))):
        await api.create(SERVICES, service(name, ports=(), type="ExternalName", externalName=target))
    far, near = "far.default.svc.cluster.local.", "near.default.svc.cluster.local."
    assert ask(api, far) == ("NOERROR", [f"{far} CNAME example.com."])
    assert ask(api, near) == ("NOERROR", [f"{near} CNAME {WEB}", f"{WEB} A 10.0.0.50"])
    assert ask(api, near, "AAAA") == ("NOERROR", [f"{near} CNAME {WEB}"])
    assert ask(api, f"a.{near}") == NXDOMAIN


async def test_aliases_in_a_circle_end(api):
    for name, other in (("one", "two"), ("two", "one")):
        target = f"{other}.default.svc.cluster.local"
        await api.create(SERVICES, service(name, ports=(), type="ExternalName", externalName=target))
    one = "one.default.svc.cluster.local."
    assert ask(api, one) == ("NOERROR", [f"{one} CNAME two.default.svc.cluster.local."])


async def test_what_does_not_fit_a_datagram_is_cut_and_marked(api):
    await add_endpoints(api, *((f"10.1.0.{number}", True, "") for number in range(1, 101)))
    server, query = DnsServer(Zone(api)), dns.message.make_query(PODS, "A")
    cut = dns.message.from_wire(server.answer(query.to_wire(), limit=512))
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    query.use_edns(0, payload=4096)
    whole = dns.message.from_wire(server.answer(query.to_wire(), limit=512))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 100


async def test_an_answer_is_not_answered(api):
    server = DnsServer(Zone(api))
    answer = server.answer(dns.message.make_query(WEB, "A").to_wire(), limit=512)
    assert server.answer(answer, limit=512) is None


@given(st.binary(max_size=40))
def test_no_bytes_make_it_fail(wire):
    async def answered():
        api = await bare_api()
        DnsServer(Zone(api)).answer(wire, limit=512)
        api.store.close()

    asyncio.run(answered())


async def test_it_answers_over_udp_and_tcp(api):
    server = DnsServer(Zone(api))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(server.datagrams, local_addr=("127.0.0.1", 0))
    query = dns.message.make_query(WEB, "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_sendto(sock, query, transport.get_extra_info("sockname"))
        over_udp = dns.message.from_wire(await asyncio.wait_for(loop.sock_recv(sock, 4096), 5))
    transport.close()

    listener = await asyncio.start_server(server.stream, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    over_tcp = []
    for _ in range(2):  # one connection takes many
        writer.write(len(query).to_bytes(2) + query)
        length = int.from_bytes(await reader.readexactly(2))
        over_tcp.append(dns.message.from_wire(await reader.readexactly(length)))
    writer.close()
    await writer.wait_closed()
    listener.close()
    await listener.wait_closed()
    assert all(each.answer == over_udp.answer for each in over_tcp)
    assert over_udp.answer[0][0].address == "10.0.0.50"
