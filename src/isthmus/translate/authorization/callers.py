"""Who calls, as principals of RBAC: by certificate, by token and by address.

Identities are those of verified certificates alone: `mtls_authenticated` looks at nothing else, where `authenticated`
would take a name of the certificate's subject for one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Literal

from isthmus.envoy.types import (
    CidrRange,
    MetadataMatcher,
    MtlsAuthenticated,
    Principal,
    StringMatcher,
    SubjectAltNameMatcher,
    ValueMatcher,
)
from isthmus.model.cluster_domains import Domains
from isthmus.translate import proto
from isthmus.translate.authorization.texts import ANY, matcher, within
from isthmus.translate.regex import regex

JWT = "envoy.filters.http.jwt_authn"
"""The filter whose metadata say what a token that was checked claims, under `PAYLOAD`."""
PAYLOAD = "payload"
_SPIFFE = "spiffe://"
_LOCAL = "cluster.local"
"""In a policy it stands for the mesh's own trust domain, whatever that is called."""


def all_of(several: Sequence[Principal]) -> Principal:
    """Each of them; anybody where there is none."""
    if not several:
        return Principal(any=True)
    return several[0] if len(several) == 1 else Principal(and_ids=Principal.Set(ids=several))


def any_of(several: Sequence[Principal]) -> Principal:
    """One of them; nobody where there is none."""
    if not several:
        return none_of([Principal(any=True)])
    return several[0] if len(several) == 1 else Principal(or_ids=Principal.Set(ids=several))


def none_of(several: Sequence[Principal]) -> Principal:
    """Anybody else."""
    return Principal(not_id=any_of(several))


def principals(names: Iterable[str], domains: Sequence[str]) -> list[Principal]:
    """Callers whose certificates say these names, `domain/ns/namespace/sa/account`.

    The mesh's own trust domain stands for all of `domains`: callers keep what they may while it is renamed.
    """
    return [_uri(matcher(each, _SPIFFE)) for name in names for each in _in_all(name, domains)]


def namespaces(names: Iterable[str]) -> list[Principal]:
    """Callers of these namespaces, of whatever trust domain."""
    return [_uri_like(f"[^/]+/ns/{within(each)}/.+") for each in names]


def service_accounts(names: Iterable[str], namespace: str) -> list[Principal]:
    """Callers of these service accounts, those without a namespace of `namespace`."""
    pairs = (each.rpartition("/") for each in names)
    return [
        _uri_like(f"[^/]+/ns/{within(own or namespace)}/(.+/)?sa/{within(name)}(/.+)?")
        for own, _, name in pairs
    ]


def trust_domains(names: Iterable[str], domains: Sequence[str]) -> list[Principal]:
    """Callers of these trust domains; the mesh's own stands for all of `domains`."""
    return [_uri_like(f"{within(each)}/.+") for name in names for each in _in_all(name, domains)]


def clusters(names: Iterable[str], domains: Sequence[str], of_single: Domains) -> list[Principal]:
    """Callers of the mesh for which Citadel of these clusters vouched.

    It says so by a name beside the identity, `CLUSTER.clusters.DOMAIN`; what others say of their clusters is not heard:
    a Citadel of a trust domain of its own, as in `of_single`, speaks for its cluster alone.
    """
    names = tuple(names)
    said = [(name, domain) for name in names for domain in domains]
    said += [(str(each), domain) for each, domain in of_single if any(_is_like(each, name) for name in names)]
    return [
        all_of([_san("DNS", _cluster(name, domain)), _uri(StringMatcher(prefix=f"{_SPIFFE}{domain}/"))])
        for name, domain in dict.fromkeys(said)
    ]


def addresses(ranges: Iterable[str], *, of_first: bool = False) -> list[Principal]:
    """Callers at these addresses: where the connection comes from, or where the first caller is."""
    if of_first:
        return [Principal(remote_ip=cidr(each)) for each in ranges]
    return [Principal(direct_remote_ip=cidr(each)) for each in ranges]


def request_principals(names: Iterable[str]) -> list[Principal]:
    """Requests with a token that was checked, about these: `ISSUER/SUBJECT`."""
    return [any_of([all_of([*each]) for each in _issued(name)]) for name in names]


def claims(path: Sequence[str], values: Iterable[str]) -> list[Principal]:
    """Requests with a token that was checked, which claims one of `values` at `path`, alone or in a list."""
    return [_claim(path, matcher(each)) for each in values]


def cidr(text: str) -> CidrRange:
    network = ip_network(text, strict=False)
    return CidrRange(address_prefix=str(network.network_address), prefix_len=proto.uint32(network.prefixlen))


def said_by(filter_name: str, path: Sequence[str], value: StringMatcher) -> MetadataMatcher:
    """A text, or a list that has it, which a filter says at `path` of its metadata."""
    both = [ValueMatcher(string_match=value), ValueMatcher()]
    both[1].list_match.one_of.string_match.CopyFrom(value)
    made = MetadataMatcher(filter=filter_name)
    made.value.or_match.value_matchers.extend(both)
    for each in path:
        made.path.add(key=each)
    return made


def _claim(path: Sequence[str], value: StringMatcher) -> Principal:
    return Principal(metadata=said_by(JWT, (PAYLOAD, *path), value))


def _issued(name: str) -> Iterator[tuple[Principal, Principal]]:
    """Issuer and subject, wherever in `name` the one may end: either may have slashes."""
    if name == ANY:
        yield _claim(("iss",), matcher(ANY)), _claim(("sub",), matcher(ANY))
        return
    text, is_begin, is_end = name.strip(ANY), name.endswith(ANY), name.startswith(ANY)
    for place in (index for index, each in enumerate(text) if each == "/"):
        issuer, subject = text[:place], text[place + 1 :]
        # Not the slashes of https://: no issuer ends there.
        if issuer.endswith((":", "/")) or not (issuer or is_end) or not (subject or is_begin):
            continue
        yield (
            _claim(("iss",), matcher(f"*{issuer}" if is_end else issuer)),
            _claim(("sub",), matcher(f"{subject}*" if is_begin else subject)),
        )
    if is_begin:
        yield _claim(("iss",), matcher(f"{text}*")), _claim(("sub",), matcher(ANY))
    if is_end:
        yield _claim(("iss",), matcher(ANY)), _claim(("sub",), matcher(f"*{text}"))


def _in_all(name: str, domains: Sequence[str]) -> Sequence[str]:
    domain, slash, rest = name.partition("/")
    if domain not in {_LOCAL, *domains}:
        return (name,)
    return [f"{each}{slash}{rest}" for each in dict.fromkeys(domains)]


def _is_like(cluster: str, name: str) -> bool:
    return re.fullmatch(within(name), cluster) is not None


def _cluster(name: str, domain: str) -> StringMatcher:
    if ANY not in name:
        return StringMatcher(exact=f"{name}.clusters.{domain}")
    return StringMatcher(safe_regex=regex(rf"{within(name)}\.clusters\.{re.escape(domain)}"))


def _uri(value: StringMatcher) -> Principal:
    return _san("URI", value)


def _uri_like(expression: str) -> Principal:
    return _uri(StringMatcher(safe_regex=regex(f"{_SPIFFE}{expression}")))


def _san(kind: Literal["URI", "DNS"], value: StringMatcher) -> Principal:
    made = MtlsAuthenticated(san_matcher=SubjectAltNameMatcher(san_type=kind, matcher=value))
    principal = Principal()
    principal.custom.name = "envoy.rbac.principals.mtls_authenticated"
    principal.custom.typed_config.CopyFrom(proto.any_of(made))
    return principal
