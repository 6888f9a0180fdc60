"""AuthorizationPolicies: that callers can be known by what they ask of them, by certificate and by token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from isthmus.api.istio.authorization_policy import AuthorizationPolicy, Rule, Source
from isthmus.api.istio.authorization_policy_keys import key_of
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.model.analyze.authorization_policies import workloads_of
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.authorization_findings import lets_in
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.peer_authentications import DISABLE, PeerAuthentications
from isthmus.model.selection import labels_of, references_of
from isthmus.model.workload import Workload

_FIELDS = {
    "principals": "source.principal",
    "namespaces": "source.namespace",
    "service_accounts": "source.serviceAccount",
    "trust_domains": "source.trustDomain",
    "request_principals": "request.auth.principal",
}
"""Fields of sources, by the keys of conditions that ask for the same."""
_WRITTEN = {each.name: each.encode_name for each in msgspec.structs.fields(Source)}
_DOMAIN_FIRST = frozenset({"source.principal", "source.trustDomain"})
OF_CERTIFICATES = frozenset({*_FIELDS.values(), "source.cluster"}) - {"request.auth.principal"}
"""Keys of what certificates prove."""
_OF_TOKENS = "request.auth."
_LOCAL = "cluster.local"
"""In a policy it stands for the mesh's own trust domain."""


class Asked(NamedTuple):
    """What a rule asks of a caller."""

    path: str
    key: str
    texts: tuple[str, ...]
    is_wanted: bool  # or else is what nobody may be


def domains_are_known(subject: Subject) -> Iterator[Finding]:
    """Each trust domain of callers is one whose certificates are taken."""
    settings = subject.mesh.settings
    known = {_LOCAL, *settings.believed_domains}
    for found in subject.of(AuthorizationPolicy):
        for asked in _asked(found):
            for index, text in enumerate(asked.texts if asked.key in _DOMAIN_FIRST else ()):
                domain, slash, _ = text.partition("/")
                is_whole = slash or asked.key == "source.trustDomain"
                is_uri = text.startswith("spiffe://")  # of which another finding tells
                if is_whole and not is_uri and "*" not in domain and domain not in known:
                    several = ", ".join(sorted(known))
                    message = (
                        f"no caller of trust domain {domain!r} is taken (hint: {several}; isthmus trust import for "
                        "another mesh, trustDomainAliases of MeshConfig for another name of this one)"
                    )
                    yield finding(found, f"{asked.path}[{index}]", message, Code.DOMAIN_UNKNOWN)


def accounts_are_of_their_domain(subject: Subject) -> Iterator[Finding]:
    """Where clusters have trust domains of their own, each whole name is that of the account where it runs."""
    settings = subject.mesh.settings
    if not settings.cluster_domains:
        return
    runs: dict[
        str, dict[str, set[str]]
    ] = {}  # by namespace and account: in which trust domain, in which clusters
    for each in subject.mesh.workloads.values():
        domain, _, account = str(each.identity).removeprefix("spiffe://").partition("/")
        runs.setdefault(account, {}).setdefault(domain, set()).add(each.cluster)
    for found in subject.of(AuthorizationPolicy):
        for asked in _asked(found):
            for index, text in enumerate(asked.texts if asked.key == "source.principal" else ()):
                domain, _, account = text.partition("/")
                meant = settings.own_domains if domain in {_LOCAL, *settings.own_domains} else (domain,)
                where = runs.get(account, {})
                if where and domain in {_LOCAL, *settings.vouched_domains} and not where.keys() & set(meant):
                    names = ", ".join(
                        f"{each}/{account} in {', '.join(sorted(where[each]))}" for each in sorted(where)
                    )
                    message = f"nobody is that: the account runs as {names} (hint: name it so)"
                    yield finding(found, f"{asked.path}[{index}]", message, Code.DOMAIN_UNKNOWN)


def tokens_are_checked(subject: Subject) -> Iterator[Finding]:
    """Where a rule asks for what a token says, some RequestAuthentication checks tokens."""
    checks = subject.of(RequestAuthentication)
    for found in subject.of(AuthorizationPolicy):
        asked = next((each for each in _asked(found) if each.key.startswith(_OF_TOKENS)), None)
        if asked is None or references_of(found):
            continue
        without = next(
            (each for each in workloads_of(found, subject) if not _checked(each, checks, subject)), None
        )
        if without is not None:
            message = (
                f"no token is checked at {without.name}: {_becomes(found, asked)} (hint: a RequestAuthentication that "
                "selects it)"
            )
            yield finding(found, asked.path, message, Code.TOKENS_UNCHECKED)


def callers_can_be_known(subject: Subject) -> Iterator[Finding]:
    """Where a rule asks who calls, callers may come in mutual TLS: nothing else tells who they are."""
    peers = PeerAuthentications(subject.of(PeerAuthentication), subject.root)
    for found in subject.of(AuthorizationPolicy):
        asked = next((each for each in _asked(found) if each.key in OF_CERTIFICATES), None)
        if asked is None or references_of(found):
            continue
        for workload in workloads_of(found, subject):
            terms = peers.terms(workload.namespace, workload.labels)
            ports = sorted({each.target_port for each in workload.serves})
            if ports and all(terms.at(port) == DISABLE for port in ports):
                message = (
                    f"{workload.name} is called in plain text alone, where nobody is known: {_becomes(found, asked)} "
                    "(hint: PERMISSIVE or STRICT in its PeerAuthentication)"
                )
                yield finding(found, asked.path, message, Code.CALLERS_UNKNOWN)
                break


def _becomes(found: AuthorizationPolicy, asked: Asked) -> str:
    """What that comes to for the rule."""
    if not asked.is_wanted:
        return "everybody is another there, and the rule means all of them"
    return (
        "the rule lets nobody in there"
        if lets_in(found)
        else "the rule means nobody there, and keeps nobody out"
    )


def _checked(workload: Workload, checks: tuple[RequestAuthentication, ...], subject: Subject) -> bool:
    """Whether a RequestAuthentication may hold for the workload."""
    labels = dict(workload.labels).items()
    return any(
        each.metadata.namespace in {workload.namespace, subject.root}
        and each.spec.jwt_rules
        and (references_of(each) or labels_of(each).items() <= labels)
        for each in checks
    )


def _asked(found: AuthorizationPolicy) -> Iterator[Asked]:
    for number, rule in enumerate(found.spec.rules or ()):
        yield from asked_by(rule, number)


def asked_by(rule: Rule, number: int) -> Iterator[Asked]:
    """What the rule of that number asks of callers."""
    at = f"$.spec.rules[{number}]"
    for index, each in enumerate(rule.from_ or ()):
        yield from _of_source(f"{at}.from[{index}].source", each.source or Source())
    for index, condition in enumerate(rule.when or ()):
        key = key_of(condition.key)
        for name, texts in (("values", condition.values), ("notValues", condition.not_values)):
            if key is not None and texts is not None:
                yield Asked(f"{at}.when[{index}].{name}", key.name, texts, name == "values")


def _of_source(at: str, source: Source) -> Iterator[Asked]:
    for field, key in _FIELDS.items():
        for name in (field, f"not_{field}"):
            texts = getattr(source, name)
            if texts is not None:
                yield Asked(f"{at}.{_WRITTEN[name]}", key, texts, name == field)
