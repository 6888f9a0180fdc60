"""Whom an object refers to, and whether it may. Source: Gateway API reference, ReferenceGrant and BackendRef."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from isthmus.api.gateway_api.reference import (
    GROUP,
    BackendObjectReference,
    ObjectReference,
    SecretObjectReference,
)
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.istio.destination import Destination, PortSelector
from isthmus.api.resource import Ref
from isthmus.model.codes import Code
from isthmus.model.lookup import Lookup
from isthmus.model.names import Hostname, ServiceKey, service_named
from isthmus.model.service import Protocol, Service


class Doubt(NamedTuple):
    """What stands against a part of an object: the reason by the specification's word, and where."""

    reason: str
    path: str
    message: str

    @property
    def code(self) -> Code:
        """What a finding of it is about."""
        return _CODES.get(self.reason, Code.NOT_ACCEPTED)


_CODES = {
    "BackendNotFound": Code.NOT_FOUND,
    "TargetNotFound": Code.NOT_FOUND,
    "InvalidCertificateRef": Code.NOT_FOUND,
    "InvalidCACertificateRef": Code.NOT_FOUND,
    "UnsupportedValue": Code.NO_EFFECT,
    "NoMatchingListenerHostname": Code.HOST_NOT_IN_GATEWAY,
    "HostnameConflict": Code.SAME_SERVERS,
    "ProtocolConflict": Code.SAME_SERVERS,
}


class Referrer(NamedTuple):
    """Who refers: the kind and the namespace count for grants."""

    kind: str
    namespace: str


class GrantKey(NamedTuple):
    """Who may refer to what; without a name to all objects of its kind and namespace."""

    from_group: str
    by: Referrer
    to_group: str
    to: Ref


GRANTS, ENTRIES = "granted", "entries of host"
"""The groups of grants, by `GrantKey`, and of ServiceEntries, by host."""


class Group(StrEnum):
    """API groups of what traffic comes from or goes to, besides Gateways."""

    CORE = ""
    ISTIO = "networking.istio.io"


@dataclass(frozen=True, slots=True)
class References:
    """Resolves references."""

    lookup: Lookup

    def allow(self, by: Referrer, to: Ref) -> bool:
        """Whether `by` may refer to an object of the core group; in its own namespace it always may."""
        if to.namespace == by.namespace:
            return True
        wanted = (to, to._replace(name=""))
        return any(self.lookup.look(GRANTS, GrantKey(GROUP, by, "", each)) for each in wanted)

    def backend(self, by: Referrer, ref: BackendObjectReference, path: str) -> Destination | Doubt:
        """Where `ref` leads, or what stands against it."""
        match (ref.group, ref.kind):
            case (Group.CORE, "Service"):
                found = self._service(by, ref, path)
            case (Group.ISTIO, "Hostname"):
                found = self._host(by, ref, path)
            case _:
                kind = f"{ref.group or 'core'} {ref.kind}"
                return Doubt("InvalidKind", path, f"{kind} takes no traffic here (hint: name a Service)")
        return _at_port(found, by, ref, path) if isinstance(found, Service) else found

    def _service(self, by: Referrer, ref: BackendObjectReference, path: str) -> Service | Doubt:
        namespace = ref.namespace or by.namespace
        if not self.allow(by, Ref("Service", namespace, ref.name)):
            return not_permitted(by, f"Service {namespace}/{ref.name}", path)
        found = self.lookup.service(self.lookup.service_key(namespace, ref.name))
        return found or Doubt("BackendNotFound", path, f"no Service {namespace}/{ref.name} in any cluster")

    def _host(self, by: Referrer, ref: BackendObjectReference, path: str) -> Service | Doubt:
        """The service of that host: of several of ServiceEntries that of the own namespace, or the first by name."""
        host = Hostname(ref.name)
        named = service_named(host, self.lookup.domain)
        namespaces = sorted({each.namespace for each in self.lookup.look(ENTRIES, host)})
        namespaces.sort(key=lambda each: each != by.namespace)
        keys = [named] if named is not None else [ServiceKey(each, host) for each in namespaces]
        found = next(filter(None, map(self.lookup.service, keys)), None)
        hint = "hint: a ServiceEntry for it, or kind Service"
        return found or Doubt("BackendNotFound", path, f"no service of the mesh has host {host} ({hint})")

    def certificate(self, by: Referrer, ref: SecretObjectReference, path: str) -> str | Doubt:
        """The credential name of a Secret with a certificate, or what stands against it."""
        namespace = ref.namespace or by.namespace
        if (ref.group, ref.kind) != ("", "Secret"):
            return Doubt(
                "InvalidCertificateRef", path, f"{ref.kind} holds no certificate (hint: name a Secret)"
            )
        if not self.allow(by, Ref("Secret", namespace, ref.name)):
            return not_permitted(by, f"Secret {namespace}/{ref.name}", path)
        if not self.lookup.has_certificate((namespace, ref.name)):
            message = f"no Secret {namespace}/{ref.name} with tls.crt and tls.key"
            return Doubt("InvalidCertificateRef", path, message)
        return f"kubernetes-gateway://{namespace}/{ref.name}"

    def authority(self, by: Referrer, ref: ObjectReference, path: str) -> str | Doubt:
        """The credential name of a ConfigMap or Secret with a CA's certificates, or what stands against it."""
        namespace = ref.namespace or by.namespace
        if ref.group or ref.kind not in {"ConfigMap", "Secret"}:
            message = f"{ref.kind} holds no certificates of a CA (hint: name a ConfigMap with ca.crt)"
            return Doubt("InvalidCACertificateKind", path, message)
        if not self.allow(by, Ref(ref.kind, namespace, ref.name)):
            return not_permitted(by, f"{ref.kind} {namespace}/{ref.name}", path)
        if not self.lookup.has_authority(Ref(ref.kind, namespace, ref.name)):
            message = f"no {ref.kind} {namespace}/{ref.name} with ca.crt"
            return Doubt("InvalidCACertificateRef", path, message)
        scheme = "configmap" if ref.kind == "ConfigMap" else "kubernetes-gateway"
        return f"{scheme}://{namespace}/{ref.name}"


def _at_port(service: Service, by: Referrer, ref: BackendObjectReference, path: str) -> Destination | Doubt:
    what = f"{ref.kind} {ref.namespace or by.namespace}/{ref.name}" if ref.kind == "Service" else ref.name
    if ref.port is None:
        return Doubt(
            "BackendNotFound", f"{path}.port", f"is missing (hint: a {ref.kind} needs its port said)"
        )
    port = service.port(ref.port)
    if port is None:
        has = ", ".join(str(each.number) for each in service.ports)
        message = f"{what} has no port {ref.port} (hint: it has {has})"
        return Doubt("BackendNotFound", f"{path}.port", message)
    if port.protocol is Protocol.UDP:
        message = f"port {ref.port} of {what} is UDP, which a {by.kind} cannot speak"
        return Doubt("UnsupportedProtocol", f"{path}.port", message)
    return Destination(host=service.key.hostname, port=PortSelector(number=ref.port))


def not_permitted(by: Referrer, what: str, path: str) -> Doubt:
    """That a reference into another namespace has no grant there."""
    hint = f"hint: a ReferenceGrant there, from {by.kind} of {by.namespace}"
    return Doubt("RefNotPermitted", path, f"{what} may not be referred to ({hint})")


def granted(grant: ReferenceGrant) -> Iterator[GrantKey]:
    """What a grant allows."""
    for from_ in grant.spec.from_:
        for to in grant.spec.to:
            ref = Ref(to.kind, grant.metadata.namespace, to.name)
            yield GrantKey(from_.group, Referrer(from_.kind, from_.namespace), to.group, ref)
