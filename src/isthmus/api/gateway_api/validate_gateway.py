"""What must not be in a Gateway or a BackendTLSPolicy. Source: the validation rules of their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.api.core.label_problems import label_selector
from isthmus.api.errors import Problem
from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy, SubjectAltName
from isthmus.api.gateway_api.gateway import Gateway, GatewayAddress, Listener
from isthmus.api.gateway_api.validate_route import repeated
from isthmus.kit.ip import is_address


def gateway(found: Gateway) -> Iterator[Problem]:
    """Its listeners are distinct, its addresses are addresses, its TLS is whole."""
    listeners = found.spec.listeners
    yield from repeated("$.spec.listeners", "name", [each.name for each in listeners])
    keys = [f"{each.protocol} on {each.port} for {each.hostname or 'all hosts'}" for each in listeners]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            yield (
                f"$.spec.listeners[{index}]",
                f"listens as another one does: {key} (hint: one of both suffices)",
            )
    for index, listener in enumerate(listeners):
        yield from _listener(f"$.spec.listeners[{index}]", listener)
    yield from _addresses(found.spec.addresses)
    tls = found.spec.tls
    if tls is not None and tls.frontend is not None:
        ports = [str(each.port) for each in tls.frontend.per_port]
        yield from repeated("$.spec.tls.frontend.perPort", "port", ports)


def _listener(at: str, listener: Listener) -> Iterator[Problem]:
    protocol, tls = listener.protocol.upper(), listener.tls
    if not listener.name:
        yield f"{at}.name", "is empty"
    if protocol in {"HTTP", "TCP", "UDP"} and tls is not None:
        yield f"{at}.tls", f"is not for {protocol} (hint: leave it out, or take HTTPS or TLS)"
    if protocol in {"TCP", "UDP"} and listener.hostname:
        yield f"{at}.hostname", f"is not for {protocol}: connections do not say a host (hint: leave it out)"
    if protocol in {"HTTPS", "TLS"} and tls is None:
        yield f"{at}.tls", f"is missing: {protocol} needs it"
    if tls is not None:
        if protocol == "HTTPS" and tls.mode != "Terminate":
            yield f"{at}.tls.mode", f"is {tls.mode!r} (hint: Terminate; for Passthrough take protocol TLS)"
        if tls.mode not in {"Terminate", "Passthrough"}:
            yield f"{at}.tls.mode", f"is {tls.mode!r} (hint: Terminate or Passthrough)"
        if tls.mode == "Terminate" and not tls.certificate_refs and not tls.options:
            yield f"{at}.tls.certificateRefs", "is empty (hint: name the Secret with the certificate)"
    namespaces = listener.allowed_routes.namespaces
    if namespaces.from_ not in {"All", "Selector", "Same", "None"}:
        path = f"{at}.allowedRoutes.namespaces.from"
        yield path, f"is {namespaces.from_!r} (hint: All, Selector, Same or None)"
    path = f"{at}.allowedRoutes.namespaces.selector"
    if namespaces.selector is not None:
        yield from label_selector(path, namespaces.selector)
    elif namespaces.from_ == "Selector":
        yield path, "is missing (hint: the labels of the namespaces)"


def _addresses(addresses: Sequence[GatewayAddress]) -> Iterator[Problem]:
    values = [f"{each.type} {each.value}" for each in addresses]
    for index, each in enumerate(addresses):
        at = f"$.spec.addresses[{index}].value"
        if each.value and values[index] in values[:index]:
            yield at, f"{each.value} stands twice"
        if each.type == "IPAddress" and each.value and not is_address(each.value):
            yield at, f"{each.value!r} is no address (hint: such as 192.0.2.1, or type Hostname)"


def backend_tls_policy(found: BackendTLSPolicy) -> Iterator[Problem]:
    """It says by what certificates the Service is believed, in exactly one way."""
    validation, at = found.spec.validation, "$.spec.validation"
    if validation.ca_certificate_refs and validation.well_known_ca_certificates:
        yield at, "has both caCertificateRefs and wellKnownCACertificates (hint: one of both)"
    if not validation.ca_certificate_refs and not validation.well_known_ca_certificates:
        yield (
            at,
            "has neither caCertificateRefs nor wellKnownCACertificates (hint: System trusts public ones)",
        )
    if not validation.hostname or validation.hostname.startswith("*"):
        yield f"{at}.hostname", f"is {validation.hostname!r} (hint: the one name to ask for)"
    for index, name in enumerate(validation.subject_alt_names):
        yield from _alternative(f"{at}.subjectAltNames[{index}]", name)
    targets = found.spec.target_refs
    for index, target in enumerate(targets):
        same = [
            each
            for each in targets
            if (each.group, each.kind, each.name) == (target.group, target.kind, target.name)
        ]
        sections = [each.section_name for each in same]
        if len(same) > 1 and (not target.section_name or sections.count(target.section_name) > 1):
            path = f"$.spec.targetRefs[{index}].sectionName"
            yield path, f"{target.name} is a target twice (hint: give each a sectionName of its own)"


def _alternative(at: str, name: SubjectAltName) -> Iterator[Problem]:
    wanted = {"Hostname": name.hostname, "URI": name.uri}
    if name.type not in wanted:
        yield f"{at}.type", f"is {name.type!r} (hint: Hostname or URI)"
    elif not wanted[name.type]:
        yield at, f"says type {name.type} and gives none"
    if name.hostname and name.uri:
        yield at, "has both hostname and uri (hint: one of both)"
