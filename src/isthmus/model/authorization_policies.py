"""Which AuthorizationPolicies hold for a proxy, and on which of its ports.

By labels and by Gateway as all policies do; those for Services and ServiceEntries hold on the ports of the workloads
that serve these. Configuration is read once for all clusters, so the same ones hold wherever a workload runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.envoy_filter import PolicyTargetReference
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Ref
from isthmus.model.mesh import Mesh
from isthmus.model.names import ServiceKey, kubernetes_hostname, resolve
from isthmus.model.policies import Policies
from isthmus.model.proxy import Proxy
from isthmus.model.selection import PROXIES_BY_LABEL, references_of, selects
from isthmus.model.workload import ServedPort


class Governing(NamedTuple):
    """A policy that holds, and on which ports that a proxy listens on; None: all."""

    policy: AuthorizationPolicy
    ports: frozenset[int] | None = None


class AuthorizationPolicies(Policies[AuthorizationPolicy]):
    """All AuthorizationPolicies of a mesh, by namespace."""

    def _is_for(self, found: AuthorizationPolicy, proxy: Proxy) -> bool:
        own = found.metadata.namespace == proxy.namespace
        return selects(found, proxy) or (own and is_for_services(found))


def is_for_services(found: AuthorizationPolicy) -> bool:
    """Whether it is for services by their names, on some ports of those who serve them."""
    return any(_services_meant(found))


def looks_at_tokens(found: AuthorizationPolicy) -> bool:
    """Whether it depends on a caller's token, so that it says nothing before that is checked."""
    for rule in found.spec.rules or ():
        sources = [each.source for each in rule.from_ or () if each.source is not None]
        if any(each.request_principals or each.not_request_principals for each in sources):
            return True
        for condition in rule.when or ():
            said = (condition.key, *(condition.values or ()), *(condition.not_values or ()))
            if condition.key.startswith("request.auth.") or any("jwt_authn" in each for each in said):
                return True
    return False


def governing(held: Iterable[AuthorizationPolicy], proxy: Proxy, mesh: Mesh) -> Iterator[Governing]:
    """Those of `held` that hold somewhere in `proxy`, with the ports."""
    workload = mesh.workloads.get((proxy.cluster, proxy.address))
    serves = workload.serves if workload is not None else ()
    for each in held:
        if selects(each, proxy):
            yield Governing(each)
        elif ports := _ports(each, serves, mesh):
            yield Governing(each, ports)


def services_of(found: AuthorizationPolicy, mesh: Mesh) -> frozenset[ServiceKey]:
    """The services that a policy is for by their own names."""
    return frozenset(
        key for each in _services_meant(found) for key in _keys(each, found.metadata.namespace, mesh)
    )


def _ports(found: AuthorizationPolicy, serves: Iterable[ServedPort], mesh: Mesh) -> frozenset[int]:
    keys = services_of(found, mesh)
    return frozenset(one.target_port for one in serves if one.service in keys)


def _services_meant(found: AuthorizationPolicy) -> Iterator[PolicyTargetReference]:
    """Its references to what is no Gateway; to other namespaces none has an effect."""
    for each in references_of(found):
        is_near = each.namespace in {"", found.metadata.namespace}
        if is_near and (each.group, each.kind) not in PROXIES_BY_LABEL:
            yield each


def _keys(reference: PolicyTargetReference, namespace: str, mesh: Mesh) -> Iterator[ServiceKey]:
    domain = mesh.settings.domain
    if reference.kind == "Service":
        yield ServiceKey(namespace, kubernetes_hostname(reference.name, namespace, domain))
        return
    ref = Ref(ServiceEntry.__name__, namespace, reference.name)
    entry = mesh.config.get(ServiceEntry.__name__, {}).get(ref)
    if isinstance(entry, ServiceEntry):
        yield from (ServiceKey(namespace, resolve(host, namespace, domain)) for host in entry.spec.hosts)
