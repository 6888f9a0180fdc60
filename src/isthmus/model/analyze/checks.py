"""All checks, and what they find.

A check is a function of a `Subject`. To add one: the function, where its subject is; a line in `CHECKS`; a code
in `model/codes.py`, and a case of it in tests/findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from isthmus.api.resource import Object, Ref
from isthmus.model.analyze import (
    authorization_callers,
    authorization_policies,
    authorization_unknown,
    clusters,
    datagrams,
    deployments,
    deprecated,
    destination_rules,
    destinations,
    envoy_filters,
    families,
    gateway_api,
    gateway_fields,
    gateways,
    istio_annotations,
    namespaces,
    networks,
    peers,
    pods,
    probes,
    request_authentications,
    route_order,
    service_entries,
    services,
    sidecars,
    telemetries,
    virtual_services,
)
from isthmus.model.analyze.subject import Subject
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId

Check = Callable[[Subject], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    destinations.exist,
    destinations.say_their_port,
    route_order.rules_are_reached,
    virtual_services.hosts_are_claimed_once,
    virtual_services.gateways_exist,
    virtual_services.gateways_let_hosts_in,
    virtual_services.subsets_hold_at_gateways,
    virtual_services.delegates_have_effect,
    virtual_services.claims_are_checked,
    destination_rules.have_services,
    destination_rules.are_not_overruled,
    destination_rules.subsets_have_endpoints,
    destination_rules.servers_are_verified,
    destination_rules.zones_have_effect,
    sidecars.have_effect,
    sidecars.have_workloads,
    sidecars.are_there,
    gateways.have_proxies,
    gateways.are_reached,
    gateways.do_not_collide,
    gateways.certificates_are_theirs,
    gateways.ports_have_one_protocol,
    gateway_fields.have_effect,
    gateway_api.have_parents,
    gateway_api.are_no_waypoints,
    service_entries.have_addresses,
    service_entries.ranges_are_free,
    services.hosts_are_theirs,
    services.addresses_are_theirs,
    services.ports_say_protocols,
    services.external_names_take_requests,
    services.callers_stay,
    envoy_filters.have_proxies,
    envoy_filters.are_placed,
    authorization_policies.are_kept,
    authorization_policies.have_workloads,
    authorization_policies.namespaces_are_there,
    authorization_policies.hold_for_connections,
    authorization_policies.providers_take_connections,
    authorization_callers.domains_are_known,
    authorization_callers.accounts_are_of_their_domain,
    authorization_callers.tokens_are_checked,
    authorization_callers.callers_can_be_known,
    authorization_unknown.callers_must_be_known,
    telemetries.reach_somebody,
    telemetries.are_alone,
    peers.are_alone,
    peers.have_workloads,
    peers.have_proxies,
    peers.are_not_passed_by,
    peers.callers_agree,
    peers.gateways_let_in,
    peers.pods_are_alike,
    peers.strangers_may_come,
    probes.are_let_in,
    request_authentications.keys_are_known,
    request_authentications.keys_are_the_issuers,
    request_authentications.are_for_proxies,
    request_authentications.requests_have_them,
    deployments.ports_have_one_protocol,
    deployments.images_are_named,
    pods.have_sidecars,
    pods.are_captured,
    namespaces.say_injection,
    networks.registries_are_known,
    networks.have_gateways,
    networks.gateways_let_in,
    networks.services_are_reached,
    networks.rules_let_calls_cross,
    families.are_shared,
    clusters.copies_are_equal,
    clusters.sidecars_are_everywhere,
    clusters.localities_are_known,
    datagrams.connections_are_led_elsewhere,
    datagrams.policies_hold_for_them,
    datagrams.sidecars_are_everywhere,
    datagrams.services_have_doors,
    datagrams.doors_are_free,
    datagrams.addresses_are_taken,
    datagrams.endpoints_are_chosen,
    istio_annotations.are_known,
    deprecated.fields_are_replaced,
)


def analyze(
    mesh: Mesh, objects: Mapping[ClusterId, Mapping[Ref, Object]] | None = None, *, is_whole: bool = True
) -> tuple[Finding, ...]:
    """All findings: those made on the way into the mesh, then those of each check.

    `objects` are all that is known of each cluster; without them only what is in the mesh is looked at. Where they
    are not the whole, what they refer to may be elsewhere.
    """
    subject = Subject(mesh, objects or {}, is_whole=is_whole)
    # Which copies of configuration in other clusters matter is told by a check, where they are known.
    made = (each for each in mesh.findings if not objects or each.code is not Code.NOT_READ_HERE)
    found = (*made, *(each for check in CHECKS for each in check(subject)))
    # Of what nobody wrote, those who made it have told already, by the names of what it was made from.
    return tuple(each for each in found if each.ref not in mesh.origins and not subject.suppresses(each))
