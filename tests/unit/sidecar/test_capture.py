import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from isthmus.console.cli.agent import command
from isthmus.model.families import BOTH
from isthmus.sidecar import nft
from isthmus.sidecar.capture import (
    ANY,
    EXCLUDE_INBOUND_PORTS,
    EXCLUDE_OUTBOUND_RANGES,
    INCLUDE_INBOUND_PORTS,
    INCLUDE_OUTBOUND_RANGES,
    CaptureSettings,
    InvalidCapture,
)
from isthmus.sidecar.capture_rules import removal
from isthmus.sidecar.capture_rules import rules as rules_for
from isthmus.sidecar.inject.capture_container import capture_arguments
from isthmus.sidecar.nft import CaptureFailed, families, load


def rules(settings: CaptureSettings, family: int = 4) -> str:
    return rules_for(settings, (family,))


def chain(text: str, name: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {name} {{")
    return lines[start + 1 : lines.index("}", start)]


def test_by_default_all_is_captured_but_what_envoy_sends():
    text = rules(CaptureSettings())
    out = chain(text, "output")
    assert out[-1] == "meta l4proto tcp redirect to :15001"
    assert "meta mark 0x539 return" in out
    assert chain(text, "prerouting")[-1] == "meta l4proto tcp redirect to :15006"


def test_probes_reach_the_agent_and_envoy_without_capture():
    passed = chain(rules(CaptureSettings()), "prerouting")[-2]
    assert passed == "tcp dport { 15008, 15020, 15021, 15090 } return"


def test_questions_to_the_pods_resolvers_go_to_the_agent_and_its_own_do_not():
    settings = CaptureSettings(dns_port=15053, dns_servers=("10.96.0.10", "fd00::10", "169.254.20.10"))
    own, udp, tcp = chain(rules(settings), "output")[1:4]
    assert own == "meta l4proto { tcp, udp } th dport 53 meta mark 0x539 return"
    assert udp == "ip daddr { 10.96.0.10, 169.254.20.10 } udp dport 53 redirect to :15053"
    assert tcp == udp.replace("udp", "tcp")
    assert rules(CaptureSettings(dns_port=15053)) == rules(CaptureSettings())


def test_datagrams_to_services_go_to_their_doors_and_questions_to_resolvers_do_not():
    settings = CaptureSettings(dns_servers=("10.96.0.10",), exclude_outbound_ports=(123,))
    out = chain(rules(settings), "output")
    assert out[1:6] == [
        "meta l4proto udp meta mark 0x539 return",
        "ip daddr { 10.96.0.10 } udp dport 53 return",
        "udp dport { 123 } return",
        "meta l4proto udp redirect to : ip daddr . udp dport map @doors",
        "meta l4proto != tcp return",
    ]
    only = chain(
        rules(CaptureSettings(include_outbound_ranges=("10.0.0.0/8",), include_outbound_ports=(514,))),
        "output",
    )
    assert "udp dport { 514 } redirect to : ip daddr . udp dport map @doors" in only
    assert "meta l4proto udp ip daddr { 10.0.0.0/8 } redirect to : ip daddr . udp dport map @doors" in only
    assert not any("@doors" in line for line in chain(rules(CaptureSettings(datagrams=False)), "output"))


def test_by_user_envoy_is_known_by_its_user():
    out = chain(rules(CaptureSettings(user=1337)), "output")
    assert "meta skuid 1337 return" in out
    assert 'oifname "lo" meta skuid != 1337 return' in out
    assert not any("mark" in line for line in out)


def test_by_tproxy_connections_come_as_they_are_and_none_passes_envoy():
    settings = CaptureSettings(keeps_source=True, exclude_inbound_ports=(9090,), exclude_interfaces=("eth1",))
    text = rules(settings)
    assert chain(text, "arriving") == [
        "type filter hook prerouting priority -150;",
        "meta l4proto != tcp return",
        'iifname "lo" meta mark != 0x539 return',
        'iifname "lo" ip daddr 127.0.0.0/8 return',
        'iifname { "eth1" } return',
        "tcp dport { 9090, 15008, 15020, 15021, 15090 } return",
        "meta l4proto tcp ct direction original tproxy to :15006 meta mark set 0x53a accept",
        "meta l4proto tcp ct direction original reject with tcp reset",
    ]
    assert not any(":15006" in line for name in ("output", "prerouting") for line in chain(text, name))
    some = chain(rules(CaptureSettings(keeps_source=True, include_inbound_ports=(80,))), "arriving")
    assert some[-1] == "tcp dport { 80 } ct direction original reject with tcp reset"
    none = chain(rules(CaptureSettings(keeps_source=True, include_inbound_ports=())), "arriving")
    assert not any("tproxy" in line or "reject" in line for line in none)


def test_only_included_ranges_are_captured_and_excluded_ones_first_let_go():
    settings = CaptureSettings().with_annotations(
        {INCLUDE_OUTBOUND_RANGES: "10.0.0.0/8, 172.16.0.1", EXCLUDE_OUTBOUND_RANGES: "10.1.2.3/16"}
    )
    out = chain(rules(settings), "output")
    assert out[-2] == "meta l4proto tcp ip daddr { 10.1.0.0/16 } return"
    assert out[-1] == "meta l4proto tcp ip daddr { 10.0.0.0/8, 172.16.0.1/32 } redirect to :15001"


def test_an_empty_include_captures_nothing_outbound():
    settings = CaptureSettings().with_annotations({INCLUDE_OUTBOUND_RANGES: ""})
    assert settings.include_outbound_ranges == ()
    assert not any(":15001" in line for line in chain(rules(settings), "output"))
    assert CaptureSettings().with_annotations({INCLUDE_OUTBOUND_RANGES: ANY}) == CaptureSettings()


def test_inbound_ports_of_the_whole_range_can_be_chosen():
    settings = CaptureSettings().with_annotations(
        {INCLUDE_INBOUND_PORTS: "80,40000,65535", EXCLUDE_INBOUND_PORTS: "32768"}
    )
    inbound = chain(rules(settings), "prerouting")
    assert inbound[-1] == "tcp dport { 80, 40000, 65535 } redirect to :15006"
    assert "32768" in inbound[-2]
    none = CaptureSettings().with_annotations({INCLUDE_INBOUND_PORTS: ""})
    assert not any(":15006" in line for line in chain(rules(none), "prerouting"))


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80;81", "80 81", "٣"])
def test_what_is_no_port_is_refused_with_the_name_of_the_annotation(text: str):
    with pytest.raises(InvalidCapture, match="excludeInboundPorts: not a port"):
        CaptureSettings().with_annotations({EXCLUDE_INBOUND_PORTS: text})


@pytest.mark.parametrize("text", ["10.0.0.0/40", "::1/129", "example.com", "*,10.0.0.0/8"])
def test_what_is_no_range_is_refused_with_the_name_of_the_annotation(text: str):
    with pytest.raises(InvalidCapture, match="includeOutboundIPRanges: not a range"):
        CaptureSettings().with_annotations({INCLUDE_OUTBOUND_RANGES: text})


def in_a_namespace(script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    if shutil.which("nft") is None or shutil.which("unshare") is None:
        pytest.skip("nft or unshare is not there")
    command = ["unshare", "-n", "sh", "-ec", script]
    if os.geteuid():
        command.insert(1, "-Ur")
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=False)
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip(f"no network namespaces: {done.stderr.strip()}")
    return done


@pytest.mark.lab
@pytest.mark.parametrize(
    "settings",
    [
        CaptureSettings(),
        CaptureSettings(user=0),
        CaptureSettings(
            include_outbound_ranges=("10.0.0.0/8", "10.1.0.0/16", "fd00::/8"),
            exclude_outbound_ranges=("10.1.2.0/24", "fd00:1::/64"),
            include_outbound_ports=(80,),
            exclude_outbound_ports=(22, 65535),
            include_inbound_ports=(9080,),
            exclude_inbound_ports=(9090,),
        ),
        CaptureSettings(include_outbound_ranges=(), include_inbound_ports=()),
        CaptureSettings(datagrams=False),
        CaptureSettings(dns_port=15053, dns_servers=("10.96.0.10", "fd00::10", "127.0.0.53")),
        CaptureSettings(dns_port=15053, dns_servers=("10.96.0.10",), user=0),
        CaptureSettings(keeps_source=True, virtual_interfaces=("k6t0",), exclude_interfaces=("eth1",)),
        CaptureSettings(keeps_source=True, include_inbound_ports=(80, 90)),
    ],
)
def test_nft_takes_the_rules_twice_and_takes_them_away(settings: CaptureSettings):
    text = rules_for(settings, BOTH)
    script = "cat > $D/r; nft -f $D/r; nft list ruleset > $D/1; nft -f $D/r; nft list ruleset | cmp - $D/1"
    done = in_a_namespace(f"D=$(mktemp -d); {script}; rm -r $D; echo same", text)
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr
    gone = in_a_namespace("nft -f -; nft list ruleset", text + removal(BOTH) + removal(BOTH))
    assert (gone.returncode, gone.stdout) == (0, ""), gone.stderr


PROGRAM = """
import asyncio, socket, subprocess, sys
sys.path[:0] = {path}
from isthmus.sidecar import nft
from isthmus.sidecar.capture import CaptureSettings
own, far, excluded, loopback, source = {addresses}
family, any_of, original = {family}
run = lambda *a, **k: subprocess.run(a, check=True, **k)
run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
run('ip', 'addr', 'add', own, 'dev', 'up0', *(['nodad'] if ':' in own else []))
run('ip', 'link', 'set', 'up0', 'up')
run('ip', 'link', 'set', 'up1', 'up')
run('ip', '-6' if ':' in own else '-4', 'route', 'add', 'default', 'dev', 'up0')
settings = CaptureSettings(exclude_outbound_ranges=(excluded + ('/96' if ':' in own else '/32'),))
asyncio.run(nft.apply(settings))
asyncio.run(nft.apply(settings))
def listener(port):
    found = socket.socket(family)
    found.bind((any_of, port))
    found.listen()
    found.settimeout(5)
    return found
outbound, inbound, app = listener(15001), listener(15006), listener(8080)
def call(host, port, mark=0, source=''):
    caller = socket.socket(family)
    if mark:
        caller.setsockopt(socket.SOL_SOCKET, 36, mark)
    if source:
        caller.bind((source, 0))
    caller.settimeout(0.3)
    try:
        caller.connect((host, port))
    except OSError:
        return None
    return caller
def arrived(at):
    return at.accept()
own = own.partition('/')[0]
assert call(far, 4000)
peer, _ = arrived(outbound)
target = peer.getsockopt(socket.IPPROTO_IPV6 if ':' in far else socket.SOL_IP, 80, 28 if ':' in far else 16)
assert target[2:4] == (4000).to_bytes(2, 'big') and socket.inet_pton(family, far) in target, target
assert call(far, 4000, mark=1337) is None
assert call(excluded, 4000) is None
assert call(loopback, 8080) and arrived(app)
assert call(own, 8080) and arrived(app)
assert call(own, 8080, mark=1337) and arrived(inbound)
assert call(own, 8080, mark=1337, source=source)
_, (caller, *_) = arrived(app)
assert caller == source
print('as it should')
"""
V4 = ("10.99.0.1/24", "192.0.2.1", "10.8.0.1", "127.0.0.1", "127.0.0.6"), "socket.AF_INET, '0.0.0.0', 80"
V6 = ("fd00:99::1/64", "2001:db8::1", "fd00:8::1", "::1", "::6"), "socket.AF_INET6, '::', 80"


@pytest.mark.lab
@pytest.mark.parametrize(("addresses", "family"), [V4, V6], ids=["ipv4", "ipv6"])
def test_connections_go_to_envoy_and_marked_ones_do_not(addresses: tuple[str, ...], family: str):
    """In a namespace: a connection to nowhere ends at 15001, one with the mark does not."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip, of the package iproute2")
    body = PROGRAM.format(path=sys.path, addresses=addresses, family=family)
    done = in_a_namespace(f"exec {sys.executable} -", body)
    assert done.stdout == "as it should\n", done.stderr


def test_each_family_has_a_table_of_its_own_with_what_is_of_its_kind():
    settings = CaptureSettings(
        include_outbound_ranges=("10.0.0.0/8",),
        exclude_outbound_ranges=("fd00:1::/64",),
        dns_port=15053,
        dns_servers=("10.96.0.10", "fd00::10"),
    )
    six = rules(settings, 6)
    assert "ip6 daddr { fd00::10 } udp dport 53 redirect to :15053" in chain(six, "output")
    assert "meta l4proto tcp ip6 daddr { fd00:1::/64 } return" in chain(six, "output")
    assert "10." not in six
    assert ":15001" not in six  # only what is included is captured, and of IPv6 nothing is
    assert "fd00" not in rules(settings)
    assert rules_for(settings, BOTH).count("table ip6 isthmus") == 3


def test_where_loopback_has_no_ipv6_nothing_of_it_is_captured(tmp_path):
    file = tmp_path / "if_inet6"
    assert families(file) == (4,)
    file.write_text("fe800000000000000000000000000001 02 40 20 80     eth0\n")
    assert families(file) == (4,)
    file.write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    assert families(file) == BOTH


@pytest.mark.lab
async def test_rules_that_nft_refuses_are_an_error_with_its_words():
    if shutil.which("nft") is None:
        pytest.skip("nft is not there")
    with pytest.raises(CaptureFailed, match="nft refused the rules"):
        await load(rules_for(CaptureSettings(outbound_port=99_999_999), BOTH))


def test_an_annotation_of_capture_that_is_not_known_is_refused():
    # A letter too few would otherwise lead a port through Envoy that should pass it.
    with pytest.raises(InvalidCapture, match=r"excludeInboundPort: not known \(hint: .*excludeInboundPorts"):
        CaptureSettings().with_annotations({"traffic.sidecar.istio.io/excludeInboundPort": "80"})
    with pytest.raises(InvalidCapture, match="excludeOutboundIPRanges: not a range"):
        CaptureSettings().with_annotations({EXCLUDE_OUTBOUND_RANGES: ANY})


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {INCLUDE_OUTBOUND_RANGES: ""},
        {INCLUDE_INBOUND_PORTS: ""},
        {INCLUDE_OUTBOUND_RANGES: "10.0.0.0/8,192.168.0.0/16", EXCLUDE_OUTBOUND_RANGES: "10.1.0.0/16"},
        {INCLUDE_INBOUND_PORTS: "80,90", EXCLUDE_INBOUND_PORTS: "22"},
    ],
)
def test_the_init_container_is_told_what_the_annotations_wish(
    annotations: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    wished = CaptureSettings().with_annotations(annotations)
    applied: list[CaptureSettings] = []

    async def keep(settings: CaptureSettings) -> None:
        applied.append(settings)

    monkeypatch.setattr(nft, "apply", keep)
    done = CliRunner().invoke(command, ["capture", *capture_arguments(wished)])
    assert done.exit_code == 0, done.output
    (found,) = applied
    assert replace(found, dns_servers=()) == wished


def test_the_init_container_is_told_of_tproxy_and_interfaces(monkeypatch: pytest.MonkeyPatch):
    wished = CaptureSettings(keeps_source=True, exclude_interfaces=("eth1",), virtual_interfaces=("k6t0",))
    applied: list[CaptureSettings] = []

    async def keep(settings: CaptureSettings) -> None:
        applied.append(settings)

    monkeypatch.setattr(nft, "apply", keep)
    done = CliRunner().invoke(command, ["capture", *capture_arguments(wished)])
    assert (done.exit_code, [replace(each, dns_servers=()) for each in applied]) == (0, [wished]), done.output


def test_tproxy_by_user_is_refused():
    done = CliRunner().invoke(command, ["capture", "--keeps-source=True", "--user=1337"])
    assert done.exit_code == 1
    assert "--keeps-source tells connections by marks (hint: leave --user out)" in done.output
