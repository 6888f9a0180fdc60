"""The DNS of a pod on loopback, asked by dnspython, with a resolver behind it that knows little."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from fakes.eventually import eventually
from fakes.ports import free_ports
from isthmus.kit.tasks import supervise
from isthmus.model.name_table import Named, NameTable
from isthmus.sidecar import dns_message
from isthmus.sidecar.dns import Answerer, DnsServer
from isthmus.sidecar.dns_names import Names
from isthmus.sidecar.dns_upstream import Resolvers, Upstream, read_resolvers

SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
MANY = tuple(f"10.9.{each // 250}.{each % 250}" for each in range(300))
TABLE = NameTable(
    {
        "web.shop.svc.cluster.local": Named(("10.0.0.1",), "web", "shop"),
        "web.other.svc.cluster.local": Named(("10.0.0.2", "fd00::2"), "web", "other"),
        "many.shop.svc.cluster.local": Named(MANY, "many", "shop"),
        "empty.shop.svc.cluster.local": Named((), "empty", "shop"),
        "db-0.db.shop.svc.cluster.local": Named(("10.0.0.9",), "db-0.db", "shop"),
        "db.example.com": Named(("240.240.0.1",), "", "shop"),
        "*.example.com": Named(("240.240.0.2",), "", "shop"),
    },
    {
        "search.shop.svc.cluster.local": "www.outside.test",
        "inside.shop.svc.cluster.local": "web.other.svc.cluster.local",
    },
)
NAMES = Names(TABLE, "shop", "cluster.local", SEARCH)


class Resolver:
    """Knows www.outside.test, says of all else that there is no such name; may be told to be silent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent = 0
        self.big = False
        self.late_s = 0.0
        self.code = dns.rcode.NOERROR
        self.in_lower_case = False

    def answer(self, wire: bytes, *, stream: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text().lower()
        self.asked.append(name)
        if self.silent:
            self.silent -= 1
            return None
        response = dns.message.make_response(query)
        response.set_rcode(self.code)
        if self.code:
            return response.to_wire()
        if name == "www.outside.test." and query.question[0].rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.7"))
            if self.big and not stream:
                response.answer.clear()
                response.flags |= dns.flags.TC
        elif name != "www.outside.test.":
            response.set_rcode(dns.rcode.NXDOMAIN)
        made = response.to_wire()
        return made[:12] + made[12:].lower() if self.in_lower_case else made

    async def run(self, place: tuple[str, int]) -> None:
        resolver = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.send = cast(asyncio.DatagramTransport, transport).sendto  # which it is in all but name

            def datagram_received(self, data: bytes, addr: object) -> None:
                answer = resolver.answer(data, stream=False)
                if answer is not None:
                    asyncio.get_running_loop().call_later(resolver.late_s, self.send, answer, addr)

        async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            answer = resolver.answer(wire, stream=True) or b""
            writer.write(len(answer).to_bytes(2) + answer)
            writer.close()

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Datagrams, place)
        server = await asyncio.start_server(stream, *place)
        try:
            async with server:
                await server.serve_forever()
        finally:
            transport.close()


class Pod:
    """Who asks."""

    def __init__(self, port: int, answerer: Answerer, upstream: Upstream) -> None:
        self.port, self.answerer, self.upstream = port, answerer, upstream
        self.resolver, self.other = Resolver(), Resolver()

    async def ask(
        self, name: str, kind: str = "A", *, tcp: bool = False, **more: object
    ) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
        how = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await how(query, "127.0.0.1", port=self.port, timeout=9)

    async def addresses(self, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
        answer = await self.ask(name, kind, tcp=tcp)
        assert answer.rcode() == dns.rcode.NOERROR
        wanted = dns.rdatatype.from_text(kind)
        return [each.to_text() for rrset in answer.answer if rrset.rdtype == wanted for each in rrset]


@asynccontextmanager
async def pod(servers: tuple[str, ...] = ("127.0.0.1",), names: Names | None = NAMES) -> AsyncIterator[Pod]:
    port, near = free_ports(2)
    upstream = Upstream(lambda: Resolvers(servers, SEARCH), port=port)
    answerer = Answerer(upstream, names)
    server = DnsServer(answerer, near)
    found = Pod(near, answerer, upstream)
    resolvers = (found.resolver.run(("127.0.0.1", port)), found.other.run(("127.0.0.2", port)))
    async with supervise(server.run(), *resolvers):
        await server.ready.wait()
        await asyncio.sleep(0.05)
        yield found
    upstream.close()


async def test_a_service_is_known_by_all_its_names_and_in_any_case() -> None:
    async with pod() as found:
        for name in (
            "web.shop.svc.cluster.local",
            "web.shop.svc",
            "web.shop",
            "web",
            "wEb.ShOp.SVC.cluster.LOCAL",
        ):
            for _ in range(2):
                assert await found.addresses(name) == ["10.0.0.1"], name
        assert found.resolver.asked == []


async def test_the_question_is_repeated_letter_for_letter() -> None:
    async with pod() as found:
        answer = await found.ask("wEb.ShOp.svc.cluster.LOCAL")
        assert answer.question[0].name.to_text() == "wEb.ShOp.svc.cluster.LOCAL."
        assert answer.flags & dns.flags.AA
        assert answer.answer[0].ttl == 30


async def test_a_family_without_addresses_is_an_empty_answer_and_no_error() -> None:
    async with pod() as found:
        assert await found.addresses("web.shop", "AAAA") == []
        assert await found.addresses("web.other", "AAAA") == ["fd00::2"]
        assert await found.addresses("empty.shop") == []


async def test_a_host_is_found_at_once_though_the_search_list_comes_first() -> None:
    async with pod() as found:
        answer = await found.ask("db.example.com.shop.svc.cluster.local")
        assert [each.to_text() for rrset in answer.answer for each in rrset] == [
            "db.example.com.",
            "240.240.0.1",
        ]
        assert await found.addresses("web.other.svc.cluster.local.svc.cluster.local") == ["10.0.0.2"]
        assert found.resolver.asked == []
        # Here `web` could be a pod of a headless service `other`, of which the cluster knows.
        assert (await found.ask("web.other.shop.svc.cluster.local")).rcode() == dns.rcode.NXDOMAIN


async def test_wildcards_hold_for_what_has_no_name_of_its_own() -> None:
    async with pod() as found:
        assert await found.addresses("a.b.example.com") == ["240.240.0.2"]
        assert await found.addresses("db.example.com") == ["240.240.0.1"]
        assert (await found.ask("example.com")).rcode() == dns.rcode.NXDOMAIN


async def test_pods_of_headless_services_have_names() -> None:
    async with pod() as found:
        assert await found.addresses("db-0.db.shop.svc.cluster.local") == ["10.0.0.9"]


async def test_what_is_not_known_is_asked_of_others() -> None:
    async with pod() as found:
        assert await found.addresses("www.outside.test") == ["192.0.2.7"]
        assert await found.addresses("www.outside.test", tcp=True) == ["192.0.2.7"]
        assert (await found.ask("nowhere.test")).rcode() == dns.rcode.NXDOMAIN


async def test_a_name_that_stands_for_another_is_followed() -> None:
    async with pod() as found:
        for tcp in (False, True):
            answer = await found.ask("search.shop.svc.cluster.local", tcp=tcp)
            assert [each.to_text() for rrset in answer.answer for each in rrset] == [
                "www.outside.test.",
                "192.0.2.7",
            ]
            assert await found.addresses("inside.shop.svc.cluster.local", tcp=tcp) == ["10.0.0.2"]


async def test_other_kinds_of_records_do_not_make_a_known_name_unknown() -> None:
    async with pod() as found:
        assert (await found.ask("web.shop.svc.cluster.local", "HTTPS")).rcode() == dns.rcode.NOERROR
        assert (await found.ask("web.shop.svc.cluster.local", "TXT", tcp=True)).rcode() == dns.rcode.NOERROR


async def test_many_addresses_are_cut_by_datagram_whole_by_tcp_and_in_another_order_each_time() -> None:
    async with pod() as found:
        short = await found.ask("many.shop.svc.cluster.local")
        assert short.flags & dns.flags.TC
        assert len(short.to_wire()) <= 512
        longer = await found.ask("many.shop.svc.cluster.local", use_edns=0, payload=4096)
        assert longer.edns == 0
        assert len(short.answer[0]) < len(longer.answer[0]) < 300
        whole = await found.addresses("many.shop.svc.cluster.local", tcp=True)
        assert sorted(whole) == sorted(MANY)
        firsts = {(await found.ask("many.shop.svc.cluster.local")).answer[0][0].to_text() for _ in range(20)}
        assert len(firsts) > 1


async def test_an_answer_that_others_cut_is_had_by_tcp() -> None:
    async with pod() as found:
        found.resolver.big = True
        assert (await found.ask("www.outside.test")).flags & dns.flags.TC
        assert await found.addresses("www.outside.test", tcp=True) == ["192.0.2.7"]


async def test_a_lost_datagram_is_sent_again() -> None:
    async with pod() as found:
        found.resolver.silent = 1
        assert await found.addresses("www.outside.test") == ["192.0.2.7"]


async def test_the_next_resolver_is_asked_where_one_is_not_there() -> None:
    async with pod(("127.0.0.9", "127.0.0.1")) as found:
        assert await found.addresses("www.outside.test") == ["192.0.2.7"]
        assert await found.addresses("www.outside.test", tcp=True) == ["192.0.2.7"]


def test_servers_and_search_list_are_read_as_resolvers_read_them(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# made by the kubelet\ndomain old.test\nsearch Shop.svc.cluster.local. svc.cluster.local\n"
        "nameserver 10.96.0.10\nnameserver\nnameserver fe80::1%lo\noptions ndots:5 edns0\n"
    )
    found = read_resolvers(file)
    assert found == Resolvers(("10.96.0.10", "fe80::1%lo"), ("shop.svc.cluster.local", "svc.cluster.local"))
    assert read_resolvers(tmp_path / "none") == Resolvers((), ())


async def test_a_slow_resolver_is_waited_for() -> None:
    async with pod() as found:
        found.resolver.late_s = 2.0  # longer than until it is asked again
        assert await found.addresses("www.outside.test") == ["192.0.2.7"]


async def test_a_resolver_that_was_silent_is_asked_after_the_others() -> None:
    async with pod(("127.0.0.2", "127.0.0.1")) as found:
        found.other.silent = 1_000_000
        for _ in range(5):
            assert await found.addresses("www.outside.test") == ["192.0.2.7"]
        assert len(found.other.asked) == 1


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "NOTIMP"])
async def test_a_resolver_that_cannot_say_leaves_it_to_the_next_and_what_it_says_stands_where_none_can(
    code: str,
) -> None:
    async with pod(("127.0.0.2", "127.0.0.1")) as found:
        found.other.code = dns.rcode.from_text(code)
        assert await found.addresses("www.outside.test") == ["192.0.2.7"]
        assert (await found.ask("nowhere.test")).rcode() == dns.rcode.NXDOMAIN
        found.resolver.silent = 1_000_000
        assert (await found.ask("www.outside.test")).rcode() == found.other.code
    async with pod() as found:
        found.resolver.code = dns.rcode.from_text(code)
        assert (await found.ask("www.outside.test")).rcode() == found.resolver.code
        assert len(found.resolver.asked) == 1


async def test_resolvers_may_repeat_the_question_in_another_case() -> None:
    async with pod() as found:
        found.resolver.in_lower_case = True
        assert await found.addresses("wWw.OuTsIdE.tEsT") == ["192.0.2.7"]


async def test_a_flood_of_names_that_are_not_there_gets_its_answers_and_known_names_theirs() -> None:
    async with pod() as found:
        for number in range(10):
            asked = [found.ask(f"no-{number}-{each}.test") for each in range(150)]
            answers = await asyncio.gather(*asked, found.ask("web.shop"))
            assert [each.rcode() for each in answers] == [dns.rcode.NXDOMAIN] * 150 + [dns.rcode.NOERROR]


async def test_nobody_to_ask_is_a_failure_and_known_names_are_answered_still() -> None:
    async with pod(("127.0.0.9",)) as found:
        assert (await found.ask("www.outside.test")).rcode() == dns.rcode.SERVFAIL
        assert (await found.ask("www.outside.test", tcp=True)).rcode() == dns.rcode.SERVFAIL
        assert await found.addresses("web.shop") == ["10.0.0.1"]
        assert found.upstream.unanswered == 2


async def test_a_new_table_holds_at_once() -> None:
    async with pod() as found:
        assert await found.addresses("web.shop") == ["10.0.0.1"]
        found.answerer.know(
            Names(NameTable({"web.shop.svc.cluster.local": Named(("10.0.0.5",), "web", "shop")}))
        )
        assert await found.addresses("web.shop.svc.cluster.local") == ["10.0.0.5"]


async def test_envoys_own_questions_never_meet_the_table() -> None:
    async with pod(names=None) as found:
        assert (await found.ask("db.example.com")).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    "packet", [b"", b"\0" * 12, b"x" * 40, bytes(range(200)), b"\0\1\1\0\0\1" + b"\0" * 6 + b"\x3fa"]
)
async def test_no_datagram_disturbs_it(packet: bytes) -> None:
    async with pod() as found:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
            near.sendto(packet, ("127.0.0.1", found.port))
        assert await found.addresses("web.shop") == ["10.0.0.1"]


async def test_many_questions_at_once_each_get_their_answer() -> None:
    async with pod() as found:
        asked = [found.ask("www.outside.test" if each % 2 else "web.shop") for each in range(200)]
        answers = await asyncio.gather(*asked)
        texts = {each.answer[-1][0].to_text() for each in answers}
        assert texts == {"192.0.2.7", "10.0.0.1"}


async def test_an_answer_too_large_for_any_message_is_cut_and_the_stream_goes_on() -> None:
    many = tuple(f"10.{each // 65536}.{each // 256 % 256}.{each % 256}" for each in range(6000))
    names = Names(NameTable({"all.shop.svc.cluster.local": Named(many, "all", "shop")}), "shop")
    async with pod(names=names) as found:
        answer = await found.ask("all.shop", tcp=True)
        assert answer.flags & dns.flags.TC
        assert len(answer.answer[-1]) > 4000


@pytest.mark.parametrize("size", [0, 5, 65_535])
async def test_a_stream_that_asks_nothing_sensible_is_closed(size: int) -> None:
    async with pod() as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(size.to_bytes(2))
        assert await reader.read() == b""
        writer.close()


async def test_more_streams_than_there_is_room_for_are_closed_and_datagrams_go_on() -> None:
    async with pod() as found:
        slow = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(140)]
        ends = [asyncio.ensure_future(reader.read(1)) for reader, _ in slow]

        async def some_are_closed() -> bool:
            return sum(each.done() for each in ends) >= 12

        await eventually(some_are_closed)
        await asyncio.sleep(0.1)
        assert sum(each.done() for each in ends) == 12
        assert await found.addresses("web.shop") == ["10.0.0.1"]
        for _, writer in slow:
            writer.close()
        await asyncio.gather(*ends)


async def test_where_capture_leads_our_own_questions_back_they_do_not_go_in_circles() -> None:
    near = free_ports(1)[0]
    # As where neither the mark nor the user can be had: whom we ask, is us.
    upstream = Upstream(lambda: Resolvers(("127.0.0.1",), SEARCH), port=near)
    server = DnsServer(Answerer(upstream, NAMES), near)
    async with supervise(server.run()):
        await server.ready.wait()
        query = dns.message.make_query("nowhere.test", "A")
        answer = await dns.asyncquery.udp(query, "127.0.0.1", port=near, timeout=9)
        assert answer.rcode() == dns.rcode.SERVFAIL
    assert upstream.asked == 1
    upstream.close()


async def test_thousands_of_questions_that_nobody_answers_are_bounded() -> None:
    async with pod() as found:
        found.resolver.silent = 1_000_000
        query = dns.message.make_query("nowhere.test", "A").to_wire()
        refused: list[bytes] = []
        for _ in range(5000):
            found.answerer.take(query, refused.append)
        assert len(refused) == 5000 - 4096
        assert await found.addresses("web.shop") == ["10.0.0.1"]


async def test_an_answer_by_one_who_did_not_read_the_question_is_not_believed() -> None:
    asked = dns.message.make_query("bank.example", "A")
    other = dns.message.make_response(dns.message.make_query("other.example", "A", id=asked.id))
    bare = dns.message.Message(asked.id)
    bare.flags |= dns.flags.QR
    answers = dns.rrset.from_text("bank.example.", 60, "IN", "A", "192.0.2.66")
    bare.answer.append(answers)
    for wrong in (other, bare):
        assert not dns_message.is_answer_to(wrong.to_wire(), asked.to_wire())
    refusal = dns.message.Message(asked.id)
    refusal.flags |= dns.flags.QR
    refusal.set_rcode(dns.rcode.FORMERR)
    assert dns_message.is_answer_to(refusal.to_wire(), asked.to_wire())
