"""Our reading and making of DNS messages, held to what dnspython says of the same bytes."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from hypothesis import assume, given
from hypothesis import strategies as st

from isthmus.sidecar import dns_message

LABELS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=63)
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
KINDS = st.sampled_from(["A", "AAAA", "ANY", "TXT", "SRV", "HTTPS"])
ADDRESSES = st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), max_size=60, unique=True)
PAYLOADS = st.sampled_from([None, 512, 1232, 4096])


def query(name: str, kind: str, payload: int | None) -> dns.message.Message:
    if payload is None:
        return dns.message.make_query(name, kind)
    return dns.message.make_query(name, kind, use_edns=0, payload=payload)


@given(NAMES, KINDS, PAYLOADS)
def test_a_question_is_read_as_dnspython_reads_it(name: str, kind: str, payload: int | None) -> None:
    asked = query(name, kind, payload)
    found = dns_message.question(asked.to_wire())
    assert found is not None
    assert (found.name, found.kind) == (name.lower(), dns.rdatatype.from_text(kind))
    assert (found.number, found.limit) == (asked.id, payload or 512)


@given(NAMES, ADDRESSES, PAYLOADS, st.one_of(st.just(""), NAMES))
def test_an_answer_is_one_to_the_question_with_all_the_addresses_that_have_room(
    name: str, addresses: list[str], payload: int | None, called: str
) -> None:
    asked = query(name, "A", payload)
    read = dns_message.question(asked.to_wire())
    assert read is not None
    wire = dns_message.answer(read, addresses, called, limit=read.limit)
    assert len(wire) <= read.limit
    found = dns.message.from_wire(wire)
    assert asked.is_response(found)
    told = [each.to_text() for rrset in found.answer if rrset.rdtype == dns.rdatatype.A for each in rrset]
    mine = [each for each in addresses if ":" not in each]
    assert told == mine if not found.flags & dns.flags.TC else told == mine[: len(told)]
    assert bool(found.flags & dns.flags.TC) == (len(told) < len(mine))


@given(st.binary(max_size=300))
def test_no_bytes_are_a_question_that_dnspython_reads_otherwise(packet: bytes) -> None:
    found = dns_message.question(packet)
    if found is not None:
        read = dns.message.from_wire(packet, question_only=True)
        assert read.question[0].rdtype == found.kind
        assert read.id == found.number


@given(NAMES, NAMES, st.lists(st.sampled_from(["A", "AAAA", "CNAME", "MX", "TXT", "NS"]), max_size=8))
def test_what_others_say_is_passed_on_whole_behind_the_alias(
    name: str, target: str, kinds: list[str]
) -> None:
    assume(name.lower() != target.lower())
    texts = {
        "A": "192.0.2.7",
        "AAAA": "2001:db8::7",
        "CNAME": f"www.{target}.",
        "MX": f"10 mail.{target}.",
        "TXT": '"of any kind"',
        "NS": f"ns.{target}.",
    }
    asked = query(name, "ANY", 4096)
    theirs = dns.message.make_response(dns.message.make_query(target, "ANY"))
    theirs.answer += [
        dns.rrset.from_text(f"{target}.", 9, "IN", each, texts[each]) for each in dict.fromkeys(kinds)
    ]
    read = dns_message.question(asked.to_wire())
    assert read is not None
    found = dns.message.from_wire(dns_message.joined(read, target, theirs.to_wire()))
    assert found.answer[0].to_text().lower().endswith(f"in cname {target.lower()}.")
    assert [each.to_text() for each in found.answer[1:]] == [each.to_text() for each in theirs.answer]


@given(NAMES, st.binary(min_size=12, max_size=600))
def test_no_answer_of_others_breaks_or_grows(name: str, theirs: bytes) -> None:
    read = dns_message.question(query("alias", "A", 4096).to_wire())
    assert read is not None
    wire = dns_message.joined(read, name, b"\0\0\x80\0" + theirs[4:])
    assert len(wire) <= read.limit
    dns.message.from_wire(wire, continue_on_error=True)


def test_a_bomb_of_references_is_refused() -> None:
    # Each of 5,000 records refers to a name that is the longest possible, of 12 bytes here.
    long = b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3d" + b"a" * 61 + b"\0"
    first = long + b"\0\x05\0\x01\0\0\0\x01" + len(long).to_bytes(2) + long
    more = b"\xc0\x12\0\x05\0\x01\0\0\0\x01\0\x02\xc0\x12"
    theirs = b"\0\0\x80\0\0\1" + (5000).to_bytes(2) + b"\0\0\0\0" + b"\0\0\x05\0\1\0" + first + more * 4000
    read = dns_message.question(query("alias", "A", 4096).to_wire())
    assert read is not None
    assert len(dns_message.joined(read, "target.test", theirs)) < 4096
    circle = b"\0\0\x80\0\0\1\0\1\0\0\0\0" + b"\0\0\1\0\1" + b"\xc0\x11\0\1\0\1\0\0\0\1\0\4abcd"
    failed = dns.message.from_wire(dns_message.joined(read, "target.test", circle))
    assert failed.rcode() == dns.rcode.SERVFAIL
