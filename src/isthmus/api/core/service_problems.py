"""What is wrong with a Service by itself. Source: the API server's own validation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.api.core.label_problems import is_domain_label, is_subdomain, labels
from isthmus.api.core.service import Service, ServicePort, ServiceSpec
from isthmus.api.errors import Problem
from isthmus.kit.ip import is_address

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_WORDS = {
    "type": ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
    "sessionAffinity": ("None", "ClientIP"),
    "internalTrafficPolicy": ("Cluster", "Local"),
    "ipFamilyPolicy": ("SingleStack", "PreferDualStack", "RequireDualStack"),
}
_TARGET = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_TARGET = 15
_LAST_PORT = 65535


def problems(found: Service) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    given = (spec.type, spec.session_affinity, spec.internal_traffic_policy, spec.ip_family_policy)
    for (name, words), value in zip(_WORDS.items(), given, strict=True):
        if value and value not in words:
            yield f"$.spec.{name}", f"is {value!r} (hint: one of {', '.join(words)})"
    yield from _addresses(spec)
    yield from _ports(spec)
    yield from labels("$.spec.selector", spec.selector or {})


def _addresses(spec: ServiceSpec) -> Iterator[Problem]:
    if spec.type == "ExternalName":
        if not spec.external_name:
            yield "$.spec.externalName", "is missing (hint: the host that the name stands for)"
        elif not is_subdomain(spec.external_name.lower().removesuffix(".")):
            yield (
                "$.spec.externalName",
                f"{spec.external_name!r} is no host (hint: a name such as example.com)",
            )
        if is_address(spec.cluster_ip):
            yield "$.spec.clusterIP", "stands beside externalName, which has no address (hint: leave it out)"
    elif spec.cluster_ip not in {"", "None"} and not is_address(spec.cluster_ip):
        yield "$.spec.clusterIP", f"{spec.cluster_ip!r} is no address (hint: leave it out, or None)"
    for index, address in enumerate(spec.cluster_ips):
        if address != "None" and not is_address(address):
            yield f"$.spec.clusterIPs[{index}]", f"{address!r} is no address"
    for index, address in enumerate(spec.external_ips):
        if not is_address(address):
            yield f"$.spec.externalIPs[{index}]", f"{address!r} is no address (hint: 192.0.2.1)"


def _ports(spec: ServiceSpec) -> Iterator[Problem]:
    for index, port in enumerate(spec.ports):
        at, before = f"$.spec.ports[{index}]", spec.ports[:index]
        if not port.name and len(spec.ports) > 1:
            yield f"{at}.name", "is missing beside other ports (hint: a name such as http-web or tcp-db)"
        elif port.name and not is_domain_label(port.name):
            hint = "hint: up to 63 lower case letters, digits and -"
            yield f"{at}.name", f"{port.name!r} is no name of a port ({hint})"
        elif port.name and any(port.name == other.name for other in before):
            yield f"{at}.name", f"{port.name!r} stands twice (hint: give each port a name of its own)"
        if port.protocol not in _PROTOCOLS:
            hint = "hint: HTTP and so on are said by the port's name, or appProtocol"
            yield f"{at}.protocol", f"is {port.protocol!r}, not one of {', '.join(_PROTOCOLS)} ({hint})"
        if any((port.port, port.protocol) == (other.port, other.protocol) for other in before):
            yield f"{at}.port", f"{port.port} stands twice for {port.protocol}"
        yield from _numbers(at, port)


def _numbers(at: str, port: ServicePort) -> Iterator[Problem]:
    if not 1 <= port.port <= _LAST_PORT:
        yield f"{at}.port", f"is {port.port} (hint: 1 to {_LAST_PORT})"
    if not 0 <= port.node_port <= _LAST_PORT:
        yield f"{at}.nodePort", f"is {port.node_port} (hint: 30000 to 32767 is usual)"
    target = port.target_port
    if isinstance(target, int) and not 0 <= target <= _LAST_PORT:
        yield f"{at}.targetPort", f"is {target} (hint: 1 to {_LAST_PORT}, or the name of a container's port)"
    if isinstance(target, str) and not (len(target) <= _LONGEST_TARGET and _TARGET.fullmatch(target)):
        hint = f"hint: up to {_LONGEST_TARGET} lower case letters, digits and -; a number without quotes"
        yield f"{at}.targetPort", f"{target!r} is no name of a container's port ({hint})"
