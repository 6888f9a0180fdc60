"""The rules of one Ingress in Istio's words, each with its rank. Source: Kubernetes, "Ingress"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from isthmus.api.core.ingress import HTTPIngressPath, Ingress, IngressBackend
from isthmus.api.istio import http_route as istio
from isthmus.api.istio.destination import Destination, PortSelector
from isthmus.api.istio.gateway import GatewayPort, Server, ServerTLSSettings
from isthmus.api.resource import Ref
from isthmus.model.findings import Code, Finding
from isthmus.model.lookup import Lookup
from isthmus.model.origins import Origin
from isthmus.model.rules import age

_REFUSED = istio.HTTPDirectResponse(status=503)


class Rule(NamedTuple):
    """A rule for a host."""

    host: str  # empty: all
    rank: tuple[int | str, ...]  # the smaller counts first
    route: istio.HTTPRoute
    origin: Origin


class Secure(NamedTuple):
    """A certificate for some hosts: of two for one host that of the older Ingress counts."""

    path: str
    hosts: tuple[str, ...]
    credential: str
    name: str  # of the port

    def server(self, hosts: tuple[str, ...]) -> Server:
        """The server of those `hosts` that no older Ingress has."""
        return Server(
            port=GatewayPort(number=443, protocol="HTTPS", name=self.name),
            hosts=hosts,
            tls=ServerTLSSettings(mode="SIMPLE", credential_name=self.credential),
        )


class Read(NamedTuple):
    """What an Ingress asks for, and what is wrong with it."""

    age: tuple[str, str, str]
    rules: tuple[Rule, ...]
    default: Rule | None
    secure: tuple[Secure, ...]
    findings: tuple[Finding, ...]


def read(found: Ingress, lookup: Lookup) -> Read:
    """What `found` asks for. The order in which Ingresses are read does not matter."""
    findings: list[Finding] = []
    rules = tuple(_rules(found, lookup, findings))
    return Read(
        age(found),
        rules,
        _default(found, lookup, findings),
        tuple(_secure(found, lookup, findings)),
        (*findings,),
    )


def ref_of(found: Ingress) -> Ref:
    return Ref("Ingress", found.metadata.namespace, found.metadata.name)


def finding(ref: Ref, path: str, message: str, code: Code) -> Finding:
    """Something about an Ingress, or a class of them."""
    return Finding(ref=ref, path=path, message=message, severity=code.severity, code=code)


def _rules(found: Ingress, lookup: Lookup, findings: list[Finding]) -> Iterator[Rule]:
    created, namespace, name = age(found)
    for index, rule in enumerate(found.spec.rules):
        for number, path in enumerate(rule.http.paths if rule.http is not None else ()):
            at = f"$.spec.rules[{index}].http.paths[{number}]"
            uris = _uris(path)
            is_exact = len(uris) == 1 and uris[0].exact is not None
            length = len(uris[-1].exact or uris[-1].prefix or "")
            route = _route(found, path.backend, f"{at}.backend", lookup, findings)
            match = tuple(istio.HTTPMatchRequest(uri=uri, authority=_authority(rule.host)) for uri in uris)
            made = msgspec.structs.replace(route, match=match, name=f"{namespace}.{name}.{index}.{number}")
            rank = (not is_exact, -length, created, namespace, name, index, number)
            yield Rule(rule.host, rank, made, Origin(ref_of(found), at))


def _uris(path: HTTPIngressPath) -> list[istio.StringMatch]:
    """The path as conditions, of which any must hold; prefixes are meant by path elements.

    `ImplementationSpecific` is read as Istio reads it: `/a/*` and `/a.*` are prefixes, anything else is exact.
    """
    text = path.path or "/"
    if path.path_type == "Exact":
        return [istio.StringMatch(exact=text)]
    if path.path_type == "ImplementationSpecific":
        if path.path.endswith(".*"):
            return [istio.StringMatch(prefix=path.path.removesuffix(".*") or "/")]
        if not path.path.endswith("/*") and path.path:
            return [istio.StringMatch(exact=text)]
        text = path.path.removesuffix("*") or "/"
    whole = text.rstrip("/")
    below = istio.StringMatch(prefix=f"{whole}/")
    return [istio.StringMatch(exact=whole), below] if whole else [below]


def _authority(host: str) -> istio.StringMatch | None:
    """For a wildcard the condition that it stands for one label: Envoy's own stands for any number of them."""
    if not host.startswith("*."):
        return None
    return istio.StringMatch(regex=rf"[^.]+{re.escape(host[1:])}(:[0-9]+)?")


def _default(found: Ingress, lookup: Lookup, findings: list[Finding]) -> Rule | None:
    """Where all goes that no rule is for, also of other Ingresses."""
    if found.spec.default_backend is None:
        return None
    at = "$.spec.defaultBackend"
    route = _route(found, found.spec.default_backend, at, lookup, findings)
    created, namespace, name = age(found)
    made = msgspec.structs.replace(route, name=f"{namespace}.{name}.default")
    return Rule("", (created, namespace, name), made, Origin(ref_of(found), at))


def _route(
    found: Ingress, backend: IngressBackend, at: str, lookup: Lookup, findings: list[Finding]
) -> istio.HTTPRoute:
    """To the backend; where it is wrong, a refusal."""
    leads = _destination(found, backend, lookup)
    if isinstance(leads, str):
        findings.append(finding(ref_of(found), at, leads, Code.NOT_FOUND))
        return istio.HTTPRoute(direct_response=_REFUSED)
    return istio.HTTPRoute(route=(istio.HTTPRouteDestination(destination=leads, weight=1),))


def _destination(found: Ingress, backend: IngressBackend, lookup: Lookup) -> Destination | str:
    asked, namespace = backend.service, found.metadata.namespace
    if asked is None:
        kind = backend.resource.kind if backend.resource is not None else "nothing"
        return f"{kind} takes no requests here (hint: name a Service)"
    key = lookup.service_key(namespace, asked.name)
    service = lookup.service(key)
    if service is None:
        return f"no Service {namespace}/{asked.name} in any cluster"
    for port in service.ports:
        if asked.port.number == port.number or (asked.port.name and asked.port.name == port.name):
            return Destination(host=key.hostname, port=PortSelector(number=port.number))
    has = ", ".join(f"{port.name or 'unnamed'} {port.number}" for port in service.ports)
    return f"Service {namespace}/{asked.name} has no port {asked.port.name or asked.port.number} (hint: it has {has})"


def _secure(found: Ingress, lookup: Lookup, findings: list[Finding]) -> Iterator[Secure]:
    _, namespace, name = age(found)
    for index, tls in enumerate(found.spec.tls):
        at = f"$.spec.tls[{index}]"
        if lookup.has_certificate((namespace, tls.secret_name)):
            secret = f"kubernetes-gateway://{namespace}/{tls.secret_name}"
            yield Secure(f"{at}.hosts", tls.hosts or ("*",), secret, f"https-{namespace}-{name}-{index}")
        else:
            message = f"no Secret {namespace}/{tls.secret_name} with tls.crt and tls.key"
            findings.append(finding(ref_of(found), f"{at}.secretName", message, Code.NOT_FOUND))
