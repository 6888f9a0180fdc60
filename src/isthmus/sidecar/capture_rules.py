"""Traffic of a pod into its Envoy: nftables rules as a value, a table for each version of IP.

TCP and datagrams, and questions to the pod's DNS servers. What Envoy and the agent send passes by its mark, or by
their user where marks cannot be set. Source: nft(8), Istio's rules, Linux' Documentation/networking/tproxy.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from isthmus.model.families import Families, spoken
from isthmus.model.interception import SOURCE_MARK
from isthmus.sidecar.capture import ANY, CaptureSettings

TABLE = "isthmus"
DOORS_MAP = "doors"
"""Of the table: from an address and port to that of loopback where Envoy takes datagrams for it."""
SHUT_SET = "shut"
"""Of the table: the pod's ports at which it takes no datagrams but those that its Envoy hands on."""

# Asked for from outside the pod without TLS: by probes and by Prometheus.
_OWN_PORTS = (15008, 15020, 15021, 15090)


class Family(NamedTuple):
    """How nftables speaks of one version of IP, and what that has on loopback."""

    version: int
    name: str
    address: str  # type of an address
    loopback: str
    own: str  # range of addresses that never leave the pod
    source: str  # from where Envoy's inbound connections to the application come

    def of(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """Those of this version."""
        return tuple(spoken(addresses, (self.version,)))


IPV4 = Family(4, "ip", "ipv4_addr", "127.0.0.1", "127.0.0.0/8", "127.0.0.6")
IPV6 = Family(6, "ip6", "ipv6_addr", "::1", "::1/128", "::6")
FAMILIES = {each.version: each for each in (IPV4, IPV6)}


def rules(settings: CaptureSettings, families: Families) -> str:
    """The ruleset for `nft -f -`. Loading it again replaces it, in one step."""
    tables = (line for each in families for line in _table(settings, FAMILIES[each]))
    return removal(families) + "\n".join(tables) + "\n"


def removal(families: Families) -> str:
    """The ruleset that takes capture away, whether it is there or not."""
    names = [f"table {FAMILIES[each].name} {TABLE}" for each in families]
    return "".join(f"add {name}\ndelete {name}\n" for name in names)


def _table(settings: CaptureSettings, family: Family) -> list[str]:
    return [
        f"table {family.name} {TABLE} {{",
        f"  map {DOORS_MAP} {{",
        f"    type {family.address} . inet_service : inet_service",
        "  }",
        f"  set {SHUT_SET} {{",
        "    type inet_service",
        "  }",
        *(
            _chain("input", "type filter hook input priority 0;", _shut(settings))
            if settings.datagrams
            else ()
        ),
        *(_transparent(settings, family) if settings.keeps_source else ()),
        *_chain("output", "type nat hook output priority -100;", _outbound(settings, family)),
        *_chain("prerouting", "type nat hook prerouting priority -100;", _inbound(settings, family)),
        "}",
    ]


def _outbound(settings: CaptureSettings, family: Family) -> list[str]:
    who, value = ("mark", f"{settings.mark:#x}") if settings.user is None else ("skuid", str(settings.user))
    own, other = f"meta {who} {value}", f"meta {who} != {value}"
    ip = family.name
    again = "return" if settings.keeps_source else f"redirect to :{settings.inbound_port}"
    return [
        *_passing("oifname", settings),
        *_dns(settings, own, family),
        *(_datagrams(settings, own, family) if settings.datagrams else ()),
        "meta l4proto != tcp return",
        f'oifname "lo" {ip} saddr {family.source} return',
        # Envoy was asked for a service whose endpoint is this very pod: inbound policy holds there as well.
        f'meta l4proto tcp oifname "lo" {ip} daddr != {family.loopback} {own} {again}',
        f'oifname "lo" {other} return',
        f"{own} return",
        f"{ip} daddr {family.own} return",
        *_led(settings, family, "tcp", f"redirect to :{settings.outbound_port}"),
    ]


def _led(settings: CaptureSettings, family: Family, protocol: str, there: str) -> list[str]:
    """What the application sends by `protocol` goes `there`, as far as ports and ranges say that it is captured."""
    lines = []
    if settings.exclude_outbound_ports:
        lines.append(f"{protocol} dport {_set(settings.exclude_outbound_ports)} return")
    if excluded := family.of(settings.exclude_outbound_ranges):
        lines.append(f"meta l4proto {protocol} {family.name} daddr {_set(excluded)} return")
    if settings.include_outbound_ports:
        lines.append(f"{protocol} dport {_set(settings.include_outbound_ports)} {there}")
    if ANY in settings.include_outbound_ranges:
        lines.append(f"meta l4proto {protocol} {there}")
    elif included := family.of(settings.include_outbound_ranges):
        lines.append(f"meta l4proto {protocol} {family.name} daddr {_set(included)} {there}")
    return lines


def _dns(settings: CaptureSettings, own: str, family: Family) -> list[str]:
    """Questions to the servers of resolv.conf go to the agent; those to others are meant for just these."""
    servers = family.of(settings.dns_servers)
    if not settings.dns_port or not servers:
        return []
    asked, to_agent = f"{family.name} daddr {_set(servers)}", f"redirect to :{settings.dns_port}"
    return [f"meta l4proto {{ tcp, udp }} th dport 53 {own} return"] + [
        f"{asked} {protocol} dport 53 {to_agent}" for protocol in ("udp", "tcp")
    ]


def _datagrams(settings: CaptureSettings, own: str, family: Family) -> list[str]:
    """What is sent to a service goes to the door for it; questions to the pod's DNS servers are no such thing."""
    lines = [f"meta l4proto udp {own} return"]
    servers = family.of(settings.dns_servers)
    if servers:
        lines.append(f"{family.name} daddr {_set(servers)} udp dport 53 return")
    door = f"redirect to : {family.name} daddr . udp dport map @{DOORS_MAP}"
    return [*lines, *_led(settings, family, "udp", door)]


def _passing(way: str, settings: CaptureSettings) -> list[str]:
    """What passes an interface that is not captured."""
    return [f"{way} {_names(settings.exclude_interfaces)} return"] if settings.exclude_interfaces else []


def _virtual(settings: CaptureSettings, family: Family) -> list[str]:
    """What machines within the pod send is what the pod calls: from Envoy's side it goes out."""
    if not settings.virtual_interfaces:
        return []
    here = f"iifname {_names(settings.virtual_interfaces)}"
    to_envoy = _led(settings, family, "tcp", f"redirect to :{settings.outbound_port}")
    return [*(f"{here} {line}" for line in to_envoy), f"{here} return"]


def _inbound(settings: CaptureSettings, family: Family) -> list[str]:
    lines = ["meta l4proto != tcp return", *_passing("iifname", settings), *_virtual(settings, family)]
    to_envoy = f"redirect to :{settings.inbound_port}"
    return lines if settings.keeps_source else [*lines, *_arriving(settings, "", to_envoy)]


def _arriving(settings: CaptureSettings, which: str, *verdicts: str) -> list[str]:
    """What is done with the connections to ports that are captured, of those that are `which`."""
    passed = tuple(sorted({*_OWN_PORTS, *settings.exclude_inbound_ports}))
    lines, to = [f"tcp dport {_set(passed)} return"], "meta l4proto tcp"
    if settings.include_inbound_ports == ():
        return lines
    if settings.include_inbound_ports:
        to = f"tcp dport {_set(settings.include_inbound_ports)}"
    return [*lines, *(f"{to} {which}{verdict}" for verdict in verdicts)]


def _transparent(settings: CaptureSettings, family: Family) -> list[str]:
    """Connections come to Envoy with both of their addresses; it calls the application in its caller's name.

    What the application answers to that address is led back to Envoy by the mark of its connection.
    """
    from_outside = [
        "meta l4proto != tcp return",
        # What Envoy itself calls in this very pod comes by loopback, and is no other's.
        f'iifname "lo" meta mark != {settings.mark:#x} return',
        f'iifname "lo" {family.name} daddr {family.own} return',
        *_passing("iifname", settings),
        *([f"iifname {_names(settings.virtual_interfaces)} return"] if settings.virtual_interfaces else []),
        # Where Envoy does not listen the application must not be reached past it.
        *_arriving(
            settings,
            "ct direction original ",
            f"tproxy to :{settings.inbound_port} meta mark set {SOURCE_MARK:#x} accept",
            "reject with tcp reset",
        ),
    ]
    answers = [
        f"meta mark {SOURCE_MARK:#x} ct mark set meta mark",
        f"ct mark {SOURCE_MARK:#x} ct direction reply meta mark set ct mark",
    ]
    return [
        *_chain("arriving", "type filter hook prerouting priority -150;", from_outside),
        *_chain("answers", "type route hook output priority -150;", answers),
    ]


def _shut(settings: CaptureSettings) -> list[str]:
    """What others send to a port that is shut is dropped; answers to what the pod has sent from there are not."""
    lines = ["meta l4proto != udp return", 'iifname "lo" return']
    if settings.exclude_inbound_ports:
        lines.append(f"udp dport {_set(settings.exclude_inbound_ports)} return")
    if settings.include_inbound_ports:
        lines.append(f"udp dport != {_set(settings.include_inbound_ports)} return")
    return [*lines, f"udp dport @{SHUT_SET} ct direction original drop"]


def _chain(name: str, hook: str, lines: list[str]) -> list[str]:
    # nft 1.0.6 takes a closing brace only on a line of its own.
    return [f"  chain {name} {{", f"    {hook}", *(f"    {line}" for line in lines), "  }"]


def _names(interfaces: tuple[str, ...]) -> str:
    return _set(tuple(f'"{each}"' for each in interfaces))


def _set(members: tuple[object, ...]) -> str:
    return "{ " + ", ".join(map(str, members)) + " }"
