"""Which pods run a Gateway, and where it is reached.

A Gateway gets an Envoy of its own, unless its one address is the name of a Service that stands already: then
the pods behind that Service run it. Source: Istio's "Kubernetes Gateway API", "Automated" and "Manual Deployment".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.api.core.service import Service
from isthmus.api.gateway_api.gateway import Gateway, GatewayAddress
from isthmus.model.lookup import Lookup
from isthmus.model.selection import GATEWAY_NAME

_OVERRIDE = "gateway.istio.io/name-override"


@dataclass(frozen=True, slots=True)
class Reach:
    """The pods of a Gateway, by namespace and labels, and its addresses."""

    namespace: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...] = ()
    unusable: tuple[str, ...] = field(default=())  # addresses that were asked for and lead nowhere
    taken: str = ""  # the Service that stands under the name of its own, and leads to other pods


def is_managed(gateway: Gateway) -> bool:
    """Whether it gets an Envoy of its own."""
    asked = gateway.spec.addresses
    return not asked or (len(asked) == 1 and asked[0].type == "IPAddress")


def deployed_name(gateway: Gateway) -> str:
    """The name of the Service and the Deployment that are made for it. Source: Istio's names for them."""
    meta = gateway.metadata
    return meta.annotations.get(_OVERRIDE) or f"{meta.name}-{gateway.spec.gateway_class_name}"


def reach_of(gateway: Gateway, lookup: Lookup) -> Reach:
    """By the Services of the cluster in which the Gateway stands."""
    meta = gateway.metadata
    own = {GATEWAY_NAME: meta.name}
    if is_managed(gateway):
        service = lookup.own_service((meta.namespace, deployed_name(gateway)))
        if service is not None and not (service.spec.selector or {}).items() <= own.items():
            return Reach(meta.namespace, own, taken=service.metadata.name)
        reached = addresses_of(service, lookup.domain)
        wrong = tuple(
            each.value for each in gateway.spec.addresses if each.value and each.value not in reached
        )
        return Reach(meta.namespace, own, reached, wrong)
    found = [(each, _meant(each, meta.namespace, lookup)) for each in gateway.spec.addresses]
    first = next((service for _, service in found if service is not None), None)
    if first is None:
        return Reach(meta.namespace, own, (), tuple(each.value or each.type for each, _ in found))
    same = [one for one in found if one[1] is not None and _pods(one[1]) == _pods(first)]
    reached = tuple(dict.fromkeys(at for _, one in same for at in addresses_of(one, lookup.domain)))
    wrong = tuple(each.value or each.type for each, service in found if (each, service) not in same)
    return Reach(first.metadata.namespace, first.spec.selector or {}, reached, wrong)


def _meant(address: GatewayAddress, namespace: str, lookup: Lookup) -> Service | None:
    """The Service that an address names: `name`, or `name.namespace.svc.DOMAIN`."""
    name, _, rest = address.value.partition(".")
    if address.type != "Hostname" or not name:
        return None
    if rest:
        namespace, _, zone = rest.partition(".")
        if zone != f"svc.{lookup.domain}":
            return None
    found = lookup.own_service((namespace, name))
    return found if found is not None and found.spec.selector else None


def _pods(service: Service) -> tuple[str, dict[str, str]]:
    return service.metadata.namespace, service.spec.selector or {}


def addresses_of(service: Service | None, domain: str) -> tuple[str, ...]:
    """Where a Service is reached: from outside, where its type says so, else by its name in the cluster."""
    if service is None:
        return ()
    outside = tuple(each.ip or each.hostname for each in service.status.load_balancer.ingress)
    outside += service.spec.external_ips
    if outside or service.spec.type == "LoadBalancer":
        return tuple(dict.fromkeys(each for each in outside if each))
    return (f"{service.metadata.name}.{service.metadata.namespace}.svc.{domain}",)
