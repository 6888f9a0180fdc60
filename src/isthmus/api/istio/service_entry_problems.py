"""What is wrong with ServiceEntries, WorkloadEntries and WorkloadGroups beyond their shape."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio.service_entry import EntryPort, ServiceEntry, ServiceEntrySpec
from isthmus.api.istio.workload_entry import WorkloadEntry, WorkloadEntrySpec
from isthmus.api.istio.workload_group import ReadinessProbe, WorkloadGroup
from isthmus.kit.ip import is_address, is_network

_PROTOCOLS = (
    "HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "TCP", "MONGO", "MYSQL", "REDIS", "UDP",
)  # fmt: skip
_LABEL = r"[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?"
_HOST = re.compile(rf"(\*|(\*\.)?{_LABEL}(\.{_LABEL})*\.?)")
_OF_NAMES = {"DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"}
UNIX = "unix://"
"""How the address of a workload begins that listens on a socket of the file system."""


def problems(found: ServiceEntry | WorkloadEntry | WorkloadGroup) -> Iterator[Problem]:
    """Everything wrong with the object. Source: Istio's references of the three kinds."""
    match found:
        case ServiceEntry():
            yield from _service_entry(found.spec)
        case WorkloadEntry():
            yield from _workload("$.spec", found.spec)
        case WorkloadGroup():
            yield from _group(found)


def _service_entry(spec: ServiceEntrySpec) -> Iterator[Problem]:
    if not spec.hosts:
        yield "$.spec.hosts", "is empty (hint: the name by which the service is called)"
    for index, host in enumerate(spec.hosts):
        yield from _host(f"$.spec.hosts[{index}]", host, spec)
    for index, address in enumerate(spec.addresses):
        if not is_network(address):
            hint = "hint: 10.1.2.3, or 10.1.2.0/24 without bits behind the prefix"
            yield f"$.spec.addresses[{index}]", f"{address!r} is neither an address nor a CIDR ({hint})"
    yield from _ports(spec.ports)
    if spec.endpoints and spec.workload_selector is not None:
        yield "$.spec.workloadSelector", "stands beside endpoints (hint: one of the two)"
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        yield "$.spec.workloadSelector.labels", "is empty (hint: labels of pods or WorkloadEntries)"
    if spec.workload_selector is not None:
        yield from labels("$.spec.workloadSelector.labels", spec.workload_selector.labels)
    yield from _resolution(spec)
    names = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        at = f"$.spec.endpoints[{index}]"
        yield from _workload(at, endpoint, is_named=spec.resolution in _OF_NAMES)
        for name in endpoint.ports:
            if name not in names:
                hint = f"hint: one of {', '.join(sorted(names))}"
                yield f"{at}.ports[{name}]", f"is no port of the service ({hint})"


def _host(at: str, host: str, spec: ServiceEntrySpec) -> Iterator[Problem]:
    if not _HOST.fullmatch(host):
        yield at, f"is {host!r} (hint: a host such as example.com or *.example.com)"
    elif host.startswith("*") and spec.resolution in _OF_NAMES - {"DYNAMIC_DNS"} and not spec.endpoints:
        hint = "hint: name endpoints, or take resolution NONE"
        yield at, f"{host!r} is a wildcard, which no DNS server can answer ({hint})"


def _resolution(spec: ServiceEntrySpec) -> Iterator[Problem]:
    at = "$.spec.resolution"
    if spec.resolution == "NONE" and spec.endpoints:
        yield at, "is NONE beside endpoints (hint: STATIC for addresses, DNS for names)"
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        yield "$.spec.endpoints", "DNS_ROUND_ROBIN takes one endpoint at the most (hint: DNS takes several)"
    if spec.resolution == "DYNAMIC_DNS":
        hint = "hint: NONE lets each call go to the address it was meant for"
        yield at, f"DYNAMIC_DNS is not built into Isthmus ({hint})"


def _ports(ports: tuple[EntryPort, ...]) -> Iterator[Problem]:
    if not ports:
        yield "$.spec.ports", "is empty (hint: number, name and protocol of each port)"
    for index, port in enumerate(ports):
        at, before = f"$.spec.ports[{index}]", ports[:index]
        if not port.number:
            yield f"{at}.number", "is 0 (hint: 1 to 65535)"
        if port.protocol and port.protocol.upper() not in _PROTOCOLS:
            yield f"{at}.protocol", f"is {port.protocol!r} (hint: one of {', '.join(_PROTOCOLS)})"
        if any(port.name == other.name for other in before):
            yield f"{at}.name", f"{port.name!r} stands twice (hint: give each port a name of its own)"
        if any(_transport(port) == _transport(other) for other in before):
            yield f"{at}.number", f"{port.number} stands twice"


def _transport(port: EntryPort) -> tuple[int, bool]:
    """What no two ports may have in common: connections and datagrams may share a number."""
    return port.number, port.protocol.upper() == "UDP"


def _workload(at: str, found: WorkloadEntrySpec, *, is_named: bool = False) -> Iterator[Problem]:
    address = found.address
    if address.startswith(UNIX):
        if not address.removeprefix(UNIX).startswith("/"):
            yield f"{at}.address", f"{address!r} has no absolute path (hint: unix:///run/app.sock)"
        if found.ports:
            yield f"{at}.ports", "stand beside a socket, which has none"
    elif not address:
        # An entry of another network is reached through that network's gateway.
        if not found.network:
            yield f"{at}.address", "is empty (hint: an IP address)"
    elif is_named and not _HOST.fullmatch(address) and not is_address(address):
        yield f"{at}.address", f"{address!r} is neither a name nor an IP address"
    elif not is_named and at != "$.spec" and not is_address(address):
        yield f"{at}.address", f"{address!r} is no IP address (hint: resolution DNS takes names)"
    yield from _of_all(at, found)


def _of_all(at: str, found: WorkloadEntrySpec) -> Iterator[Problem]:
    """What may be wrong with an entry, and with the template of some."""
    if not 0 <= found.weight < 1 << 32:
        yield f"{at}.weight", f"is {found.weight} (hint: 1 to 4294967295)"
    yield from labels(f"{at}.labels", found.labels)
    if found.locality.count("/") > 2:
        yield f"{at}.locality", f"is {found.locality!r} (hint: region/zone/subzone)"


def _group(found: WorkloadGroup) -> Iterator[Problem]:
    yield from labels("$.spec.metadata.labels", found.spec.metadata.labels)
    yield from _of_all("$.spec.template", found.spec.template)
    if found.spec.template.address:
        yield "$.spec.template.address", "is set, though entries have one each (hint: leave it out)"
    if found.spec.probe is not None:
        yield from _probe("$.spec.probe", found.spec.probe)


def _probe(at: str, probe: ReadinessProbe) -> Iterator[Problem]:
    ways = [way for way in (probe.http_get, probe.tcp_socket, probe.exec, probe.grpc) if way is not None]
    if len(ways) != 1:
        yield at, "needs exactly one of httpGet, tcpSocket, exec, grpc"
    times = {
        "initialDelaySeconds": probe.initial_delay_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "periodSeconds": probe.period_seconds,
    }
    for name, seconds in times.items():
        if seconds < 0:
            yield f"{at}.{name}", "is negative"
