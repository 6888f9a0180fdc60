"""Which credentials configuration refers to, by the names under which Envoy asks for them, and where it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from isthmus.api.istio.destination_rule import ClientTLSSettings, DestinationRule, TrafficPolicy
from isthmus.api.istio.gateway import GatewayConfig, ServerTLSSettings
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.resource import Object, Ref
from isthmus.model.credential_names import is_secret_name, pair_name, roots_name
from isthmus.model.mesh import Mesh
from isthmus.model.sidecars import selected

VERIFIES_CLIENTS = frozenset({"MUTUAL", "OPTIONAL_MUTUAL"})
"""The modes in which callers are asked for certificates of CAs that are not the mesh's."""


class Use(NamedTuple):
    """A credential by its name in Envoy, and the field that calls for it."""

    name: str
    about: Ref
    path: str


def used_names(mesh: Mesh) -> frozenset[str]:
    """The names of all credentials that configuration refers to."""
    objects = (*mesh.of(GatewayConfig), *mesh.of(DestinationRule), *mesh.of(Sidecar))
    return frozenset(use.name for found in objects for use in uses_of(found))


def uses_of(found: Object) -> Iterator[Use]:
    """What an object of configuration needs."""
    match found:
        case GatewayConfig():
            yield from of_gateway(found)
        case DestinationRule():
            yield from of_destination_rule(found)
        case Sidecar():
            yield from of_sidecar(found)


def of_gateway(config: GatewayConfig) -> Iterator[Use]:
    """What the servers of a Gateway need."""
    about = Ref("Gateway", config.metadata.namespace, config.metadata.name)
    for index, server in enumerate(config.spec.servers):
        if server.tls is not None:
            for field, name in of_server(server.tls):
                yield Use(name, about, f"$.spec.servers[{index}].tls.{field}")


def of_sidecar(found: Sidecar) -> Iterator[Use]:
    """What the ingress of a Sidecar needs; only one that selects workloads may have what is in Secrets."""
    about = Ref("Sidecar", found.metadata.namespace, found.metadata.name)
    for index, listener in enumerate(found.spec.ingress if selected(found) else ()):
        if listener.tls is not None:
            for field, name in of_server(listener.tls):
                yield Use(name, about, f"$.spec.ingress[{index}].tls.{field}")


def of_server(tls: ServerTLSSettings) -> Iterator[tuple[str, str]]:
    """The field and the name of each credential of a server that ends TLS."""
    if tls.mode not in VERIFIES_CLIENTS | {"SIMPLE"}:
        return
    found = [*server_pairs(tls), *server_roots(tls)]
    yield from (each for each in found if is_secret_name(each[1]))


def server_pairs(tls: ServerTLSSettings) -> list[tuple[str, str]]:
    """The certificates that it shows: several are of several kinds of keys."""
    if tls.credential_names:
        return [
            (f"credentialNames[{index}]", pair_name(name)) for index, name in enumerate(tls.credential_names)
        ]
    return [("credentialName", pair_name(tls.credential_name))] if tls.credential_name else []


def server_roots(tls: ServerTLSSettings) -> list[tuple[str, str]]:
    """The CAs by which it believes its callers."""
    if tls.mode not in VERIFIES_CLIENTS or tls.insecure_skip_verify or tls.ca_certificates:
        return []
    if tls.ca_cert_credential_name:
        return [("caCertCredentialName", roots_name(tls.ca_cert_credential_name))]
    if tls.credential_names:
        return [("credentialNames[0]", roots_name(tls.credential_names[0]))]
    return [("credentialName", roots_name(tls.credential_name))] if tls.credential_name else []


def of_destination_rule(rule: DestinationRule) -> Iterator[Use]:
    """What the upstreams of a DestinationRule need."""
    about = Ref("DestinationRule", rule.metadata.namespace, rule.metadata.name)
    policies = [("$.spec.trafficPolicy", rule.spec.traffic_policy)]
    policies += [
        (f"$.spec.subsets[{index}].trafficPolicy", subset.traffic_policy)
        for index, subset in enumerate(rule.spec.subsets)
    ]
    for at, policy in policies:
        for path, tls in _client_settings(at, policy):
            for name in of_client(tls):
                yield Use(name, about, f"{path}.credentialName")


def _client_settings(at: str, policy: TrafficPolicy | None) -> Iterator[tuple[str, ClientTLSSettings]]:
    if policy is None:
        return
    if policy.tls is not None:
        yield f"{at}.tls", policy.tls
    for index, port in enumerate(policy.port_level_settings):
        if port.tls is not None:
            yield f"{at}.portLevelSettings[{index}].tls", port.tls


def of_client(tls: ClientTLSSettings) -> Iterator[str]:
    """The names of the credentials of who calls with TLS."""
    if tls.mode not in {"SIMPLE", "MUTUAL"}:
        return
    names = [pair_name(tls.credential_name)] if tls.mode == "MUTUAL" and tls.credential_name else []
    roots = client_roots(tls)
    names += [roots] if roots and not tls.insecure_skip_verify else []
    yield from (name for name in names if is_secret_name(name))


def client_roots(tls: ClientTLSSettings) -> str:
    """The CAs by which who calls believes the service; empty where they are in a file.

    A file cannot stand beside a credential, so that a credential named in its place is from a BackendTLSPolicy.
    """
    if tls.ca_certificates:
        return roots_name(tls.ca_certificates) if is_secret_name(tls.ca_certificates) else ""
    return roots_name(tls.credential_name) if tls.credential_name else ""
