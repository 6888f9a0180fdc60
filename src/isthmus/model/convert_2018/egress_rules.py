"""EgressRule → ServiceEntry.

A port that spoke https was called in plain text, and the sidecar made TLS of it: its protocol is HTTP today,
and a DestinationRule asks for the TLS.
"""

from __future__ import annotations

from isthmus.api.istio_2018.egress_rule import EgressPort, EgressRule
from isthmus.api.istio_2018.validate import is_range
from isthmus.model.convert_2018.hosts import Host
from isthmus.model.convert_2018.told import Told

Json = dict[str, object]


def service_entry(rule: EgressRule, told: Told) -> Json:
    """The spec of the ServiceEntry for the rule's host."""
    host = rule.spec.destination.service
    ignored = {"name": rule.spec.destination.name, "labels": rule.spec.destination.labels}
    for name, value in ignored.items():
        if value:
            told.changed(
                rule, f"$.spec.destination.{name}", "has no effect, then as now (hint: leave it out)"
            )
    if rule.spec.use_egress_proxy:
        message = "is not done by itself (hint: an egress Gateway and a VirtualService)"
        told.lost(rule, "$.spec.useEgressProxy", message)
    spec: Json = {"hosts": [host]}
    if is_range(host):
        # A host is asked for; for connections only the addresses count.
        spec = {"hosts": [f"{rule.metadata.name}.egress.invalid"], "addresses": [host]}
    elif "*" in host and not host.startswith("*."):
        message = f"{host!r} has a star that is not a whole label (hint: *.{host.partition('.')[2]})"
        told.lost(rule, "$.spec.destination.service", message)
    by_name = not is_range(host) and "*" not in host
    return spec | {
        "location": "MESH_EXTERNAL",
        "ports": [_port(each) for each in rule.spec.ports],
        "resolution": "DNS" if by_name else "NONE",
    }


def _port(port: EgressPort) -> Json:
    protocol = "http" if makes_tls(port) else port.protocol.lower()
    return {"number": port.port, "name": f"{port.protocol.lower()}-{port.port}", "protocol": protocol.upper()}


def makes_tls(port: EgressPort) -> bool:
    """Whether the sidecar makes TLS of what is sent there."""
    return port.protocol.lower() == "https"


def host_of_egress(rule: EgressRule) -> Host:
    """The host by which rules and policies speak of it."""
    return Host("", rule.spec.destination.service, is_foreign=True)
