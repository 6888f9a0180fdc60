import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from isthmus.console.cli.agent import command
from isthmus.sidecar import capture
from isthmus.sidecar.capture import (
    ANY,
    EXCLUDE_INBOUND_PORTS,
    EXCLUDE_OUTBOUND_RANGES,
    INCLUDE_INBOUND_PORTS,
    INCLUDE_OUTBOUND_RANGES,
    CaptureFailed,
    CaptureSettings,
    InvalidCapture,
    apply,
    removal,
    rules,
)
from isthmus.sidecar.inject.template import capture_arguments


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


def test_only_included_ranges_are_captured_and_excluded_ones_first_let_go():
    settings = CaptureSettings().with_annotations(
        {INCLUDE_OUTBOUND_RANGES: "10.0.0.0/8, 172.16.0.1", EXCLUDE_OUTBOUND_RANGES: "10.1.2.3/16"}
    )
    out = chain(rules(settings), "output")
    assert out[-2] == "ip daddr { 10.1.0.0/16 } return"
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


@pytest.mark.parametrize("text", ["10.0.0.0/40", "::1/128", "example.com", "*,10.0.0.0/8"])
def test_what_is_no_range_is_refused_with_the_name_of_the_annotation(text: str):
    with pytest.raises(InvalidCapture, match="includeOutboundIPRanges: not an IPv4 range"):
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
            include_outbound_ranges=("10.0.0.0/8", "10.1.0.0/16"),
            exclude_outbound_ranges=("10.1.2.0/24",),
            include_outbound_ports=(80,),
            exclude_outbound_ports=(22, 65535),
            include_inbound_ports=(9080,),
            exclude_inbound_ports=(9090,),
        ),
        CaptureSettings(include_outbound_ranges=(), include_inbound_ports=()),
        CaptureSettings(datagrams=False),
        CaptureSettings(dns_port=15053, dns_servers=("10.96.0.10", "127.0.0.53")),
        CaptureSettings(dns_port=15053, dns_servers=("10.96.0.10",), user=0),
    ],
)
def test_nft_takes_the_rules_twice_and_takes_them_away(settings: CaptureSettings):
    text = rules(settings)
    script = "cat > $D/r; nft -f $D/r; nft list ruleset > $D/1; nft -f $D/r; nft list ruleset | cmp - $D/1"
    done = in_a_namespace(f"D=$(mktemp -d); {script}; rm -r $D; echo same", text)
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr
    gone = in_a_namespace("nft -f -; nft list ruleset", text + removal() + removal())
    assert (gone.returncode, gone.stdout) == (0, ""), gone.stderr


@pytest.mark.lab
def test_connections_go_to_envoy_and_marked_ones_do_not():
    """In a namespace: a connection to nowhere ends at 15001, one with the mark does not."""
    program = """
import socket, subprocess, sys
sys.path[:0] = {path}
from isthmus.sidecar.capture import CaptureSettings, rules
run = lambda *a, **k: subprocess.run(a, check=True, **k)
run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'up0')
run('ip', 'link', 'set', 'up0', 'up')
run('ip', 'route', 'add', 'default', 'dev', 'up0')
run('nft', '-f', '-', input=rules(CaptureSettings(exclude_outbound_ranges=('10.8.0.0/16',))), text=True)
def listener(port):
    found = socket.socket()
    found.bind(('0.0.0.0', port))
    found.listen()
    found.settimeout(5)
    return found
outbound, inbound, app = listener(15001), listener(15006), listener(8080)
def call(host, port, mark=0):
    caller = socket.socket()
    if mark:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_MARK if hasattr(socket, 'SO_MARK') else 36, mark)
    caller.settimeout(0.3)
    try:
        caller.connect((host, port))
    except OSError:
        return None
    return caller
def arrived(at):
    peer, _ = at.accept()
    return peer
ORIGINAL = 80
captured = call('192.0.2.1', 4000)
target = arrived(outbound).getsockopt(socket.SOL_IP, ORIGINAL, 16)
assert target[2:8] == (4000).to_bytes(2, 'big') + bytes([192, 0, 2, 1]), target
assert call('192.0.2.1', 4000, mark=1337) is None
assert call('10.8.0.1', 4000) is None
assert call('127.0.0.1', 8080) and arrived(app)
assert call('10.99.0.1', 8080) and arrived(app)
assert call('10.99.0.1', 8080, mark=1337) and arrived(inbound)
print('as it should')
"""
    if shutil.which("ip") is None:
        pytest.skip("needs ip, of the package iproute2")
    body = program.format(path=sys.path)
    done = in_a_namespace(f"exec {sys.executable} -", body)
    assert done.stdout == "as it should\n", done.stderr


@pytest.mark.lab
async def test_rules_that_nft_refuses_are_an_error_with_its_words():
    if shutil.which("nft") is None:
        pytest.skip("nft is not there")
    with pytest.raises(CaptureFailed, match="nft refused the rules"):
        await apply(CaptureSettings(outbound_port=99_999_999))


def test_an_annotation_of_capture_that_is_not_known_is_refused():
    # A letter too few would otherwise lead a port through Envoy that should pass it.
    with pytest.raises(InvalidCapture, match=r"excludeInboundPort: not known \(hint: .*excludeInboundPorts"):
        CaptureSettings().with_annotations({"traffic.sidecar.istio.io/excludeInboundPort": "80"})
    with pytest.raises(InvalidCapture, match="excludeOutboundIPRanges: not an IPv4 range"):
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

    monkeypatch.setattr(capture, "apply", keep)
    done = CliRunner().invoke(command, ["capture", *capture_arguments(wished)])
    assert done.exit_code == 0, done.output
    (found,) = applied
    assert replace(found, dns_servers=()) == wished
