"""RequestAuthentications: that the keys of their issuers are known, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.request_authentication import JWTRule, RequestAuthentication
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding, Severity
from isthmus.model.key_source import keys_at, never_fetched, source_of
from isthmus.model.request_authentications import own_keys
from isthmus.model.selection import PROXIES_BY_LABEL, labels_of
from isthmus.model.service import Protocol


def keys_are_known(subject: Subject) -> Iterator[Finding]:
    """Each issuer has keys, and answers when it is asked for them. Where nobody asks, as of files, nothing is said."""
    for found, at, rule in _rules(subject):
        source = source_of(rule)
        if source is None:
            continue
        known = subject.mesh.key_sets.get(source)
        why = known.trouble if known is not None else never_fetched(source)
        if why and known is not None and known.keys is not None:
            of = f" of {known.since}" if known.since else ""
            message = f"its keys cannot be looked at again, the last good ones{of} hold: {why}"
            yield finding(found, at, message, Code.NO_KEYS, Severity.WARNING)
        elif why:
            yield finding(found, at, f"all tokens of {rule.issuer} are refused: {why}", Code.NO_KEYS)


def keys_are_the_issuers(subject: Subject) -> Iterator[Finding]:
    """Nobody but an issuer can make its tokens, and each of its keys can be used."""
    for found, at, rule in _rules(subject):
        source = source_of(rule)
        if source is not None and source.uri.startswith("http:"):
            message = "the keys come in plain text: whoever is on the way can make tokens (hint: https)"
            yield finding(found, at, message, Code.DOUBTFUL_KEYS)
        keys = own_keys(rule.jwks) if source is None else keys_at(source, subject.mesh.key_sets)
        if keys is None:
            continue
        if source is None and keys.holds_secrets:
            message = "has secrets in it: who may read this object can make tokens (hint: public keys alone)"
            yield finding(found, at, message, Code.DOUBTFUL_KEYS)
        for each in keys.left_out:
            yield finding(found, at, f"a key cannot be used: {each}", Code.DOUBTFUL_KEYS)


def are_for_proxies(subject: Subject) -> Iterator[Finding]:
    """Each reference is to what proxies are known by here."""
    for found in subject.of(RequestAuthentication):
        spec = found.spec
        references = [(f"$.spec.targetRefs[{index}]", each) for index, each in enumerate(spec.target_refs)]
        references += [("$.spec.targetRef", spec.target_ref)] if spec.target_ref is not None else []
        for at, each in references:
            if (each.group, each.kind) not in PROXIES_BY_LABEL:
                hint = "hint: a Gateway or GatewayClass of gateway.networking.k8s.io, or a selector"
                message = (
                    f"has no effect: there are no waypoints, so no proxy stands for a {each.kind} ({hint})"
                )
                yield finding(found, at, message, Code.NO_EFFECT)


def requests_have_them(subject: Subject) -> Iterator[Finding]:
    """Where workloads are selected that tokens are checked for, all their ports take requests.

    On what is for whole namespaces nothing is said: there are always databases.
    """
    for found in subject.of(RequestAuthentication):
        labels, namespace = labels_of(found), found.metadata.namespace
        if not labels or not found.spec.jwt_rules:
            continue
        near = subject.workloads if namespace == subject.root else subject.workloads_in.get(namespace)
        unseen = {
            (one.service, one.port.number): one.port.protocol
            for workload in (near.having(labels) if near is not None else ())
            for one in workload.serves
            if not one.port.protocol.is_http and one.port.protocol not in _NO_CONNECTIONS
        }
        for service, number in sorted(unseen):
            speaks = unseen[service, number].value
            hint = (
                "hint: appProtocol: http, if it is; an AuthorizationPolicy with requestPrincipals closes it"
            )
            message = f"tokens are not looked at on port {number} of {service.hostname}: it speaks {speaks} ({hint})"
            yield finding(found, "$.spec.selector", message, Code.TOKENS_UNSEEN)


_NO_CONNECTIONS = frozenset({Protocol.UDP, Protocol.UNSPECIFIED})
"""Of these nobody expects tokens, or HTTP is found out."""


def _rules(subject: Subject) -> Iterator[tuple[RequestAuthentication, str, JWTRule]]:
    """Each rule, with the object that has it and where in it its keys are."""
    for found in subject.of(RequestAuthentication):
        for index, rule in enumerate(found.spec.jwt_rules):
            at = f"$.spec.jwtRules[{index}]"
            if rule.jwks:
                yield found, f"{at}.jwks", rule
            elif rule.keys_at:
                yield found, f"{at}.{'jwksUri' if rule.jwks_uri else 'jwks_uri'}", rule
            else:
                yield found, f"{at}.issuer", rule
