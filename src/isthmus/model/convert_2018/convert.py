"""The kinds of 2018 in today's. Read this first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from isthmus.api.istio_2018.destination_policy import DestinationPolicy
from isthmus.api.istio_2018.egress_rule import EgressRule
from isthmus.api.istio_2018.route_rule import RouteRule
from isthmus.api.resource import Meta, Object, Part
from isthmus.model.convert_2018.egress_rules import host_of_egress, makes_tls, service_entry
from isthmus.model.convert_2018.hosts import Host, Subsets, host_of
from isthmus.model.convert_2018.policies import Policies
from isthmus.model.convert_2018.route_rules import Writer, by_precedence
from isthmus.model.convert_2018.told import Told
from isthmus.model.findings import Finding

Json = dict[str, object]
_API = "networking.istio.io/v1"


class Converted(NamedTuple):
    """Objects as people write them: DestinationRules, VirtualServices, ServiceEntries; and what is told."""

    objects: tuple[Json, ...]
    findings: tuple[Finding, ...]


def convert(found: Sequence[Object]) -> Converted:
    """Today's objects for RouteRules, DestinationPolicies and EgressRules. The order of these does not matter."""
    some = sorted(found, key=lambda each: (each.metadata.namespace, each.metadata.name))
    told = Told()
    hosts = [(each, host) for each in some if (host := _host(each)) is not None]
    _namespaces_are_said(hosts, told)
    # A host outside of the cluster has no namespace: what is made for it stays where it was first spoken of.
    homes: dict[Host, str] = {}
    for each, host in hosts:
        homes.setdefault(host, each.metadata.namespace if host.is_foreign else host.namespace)
    subsets = Subsets()
    policies = Policies(subsets, told, homes)
    rules = [each for each in some if isinstance(each, RouteRule)]
    virtual_services = list(_virtual_services(rules, homes, subsets, told))
    policies.add(each for each in some if isinstance(each, DestinationPolicy))
    entries = list(_service_entries([each for each in some if isinstance(each, EgressRule)], policies, told))
    destination_rules = [
        _shown("DestinationRule", Meta(name=name, namespace=namespace), _plain(spec))
        for namespace, name, spec in policies.rules()
    ]
    return Converted((*entries, *destination_rules, *virtual_services), tuple(told.findings))


def _host(found: Object) -> Host | None:
    """Which service an object is about."""
    match found:
        case RouteRule() | DestinationPolicy() if found.spec.destination is not None:
            return host_of(found.spec.destination, found.metadata.namespace)
        case EgressRule():
            return host_of_egress(found)
    return None


def _namespaces_are_said(hosts: Sequence[tuple[Object, Host]], told: Told) -> None:
    """No service is spoken of both with its namespace and without: it would get two objects of one name."""
    known = {host.name: host.namespace for _, host in hosts if host.namespace and not host.is_foreign}
    for each, host in hosts:
        if not host.namespace and not host.is_foreign and host.name in known:
            hint = f"hint: -n {known[host.name]}"
            message = f"is not said, and other objects speak of {host.name} in {known[host.name]} ({hint})"
            told.lost(each, "$.metadata.namespace", message)


def _virtual_services(
    rules: Sequence[RouteRule], homes: Mapping[Host, str], subsets: Subsets, told: Told
) -> Iterator[Json]:
    by_host: dict[Host, list[RouteRule]] = defaultdict(list)
    for rule in rules:
        by_host[host_of(rule.spec.destination, rule.metadata.namespace)].append(rule)
    for host in sorted(by_host):
        own = by_precedence(by_host[host], told)
        meta = Meta(name=host.object_name, namespace=homes[host])
        spec = Writer(host, homes[host], subsets, told).spec(own)
        if spec.http or spec.tcp:
            yield _shown("VirtualService", meta, _plain(spec))


def _service_entries(rules: Sequence[EgressRule], policies: Policies, told: Told) -> Iterator[Json]:
    for rule in rules:
        secure = [port.port for port in rule.spec.ports if makes_tls(port)]
        policies.tls_ports[host_of_egress(rule)].extend(secure)
        meta = Meta(name=rule.metadata.name, namespace=rule.metadata.namespace)
        yield _shown("ServiceEntry", meta, service_entry(rule, told))


def _shown(kind: str, meta: Meta, spec: Json) -> Json:
    shown: Json = {"name": meta.name}
    if meta.namespace:
        shown["namespace"] = meta.namespace
    return {"apiVersion": _API, "kind": kind, "metadata": shown, "spec": spec}


def _plain(part: Part) -> Json:
    """A part with what differs from its defaults, in the order of its fields."""
    found = ((field, getattr(part, field.name)) for field in msgspec.structs.fields(part))
    return {
        field.encode_name: _value(value)
        for field, value in found
        if field.required or value not in (field.default, {})
    }


def _value(value: object) -> object:
    if isinstance(value, Part):
        return _plain(value)
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        return {key: _value(each) for key, each in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
