"""What is wrong with an AuthorizationPolicy by itself. Who is let in hangs on it: nothing doubtful is passed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.authorization_policy import (
    AuthorizationPolicy,
    AuthorizationPolicySpec,
    Condition,
    Operation,
    Rule,
    Source,
    Texts,
)
from isthmus.api.istio.authorization_policy_keys import ADDRESSES, KEYS, PORTS, key_of
from isthmus.api.istio.path_template import is_template, template_fault

Check = Callable[[str, str], Iterator[Problem]]

_TARGETS = {
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
}
_LONGEST = 4096
_ACCOUNT = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def problems(found: AuthorizationPolicy) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    yield from _targets(spec)
    if spec.action == "CUSTOM":
        if spec.provider is None or not spec.provider.name:
            yield (
                "$.spec.provider.name",
                "is missing (hint: an extensionProvider of MeshConfig that CUSTOM asks)",
            )
    elif spec.provider is not None:
        yield "$.spec.provider", f"stands beside {spec.action}, which asks nobody (hint: action: CUSTOM)"
    for index, rule in enumerate(spec.rules or ()):
        yield from _rule(f"$.spec.rules[{index}]", rule)


def _targets(spec: AuthorizationPolicySpec) -> Iterator[Problem]:
    if spec.selector is not None and (spec.target_refs or spec.target_ref is not None):
        yield "$.spec.targetRefs", "cannot stand beside selector (hint: leave one of them out)"
    if spec.selector is not None:
        yield from texts.workloads("$.spec.selector.matchLabels", spec.selector.match_labels)
    named = [(f"$.spec.targetRefs[{index}]", each) for index, each in enumerate(spec.target_refs)]
    if spec.target_ref is not None:
        named.append(("$.spec.targetRef", spec.target_ref))
    for at, each in named:
        if (each.group, each.kind) not in _TARGETS:
            hint = "Gateway or GatewayClass of gateway.networking.k8s.io, Service of no group, ServiceEntry"
            yield (
                f"{at}.kind",
                f"{each.group or 'no group'}, {each.kind!r} is nothing to be for (hint: {hint})",
            )
        if not each.name:
            yield f"{at}.name", "is missing"


def _rule(at: str, rule: Rule) -> Iterator[Problem]:
    for name, several in (("from", rule.from_), ("to", rule.to), ("when", rule.when)):
        if several is not None and not several:
            yield f"{at}.{name}", _EMPTY
    for index, each in enumerate(rule.from_ or ()):
        here = f"{at}.from[{index}].source"
        yield from _source(here, each.source) if each.source is not None else ((here, "is missing"),)
    for index, to in enumerate(rule.to or ()):
        here = f"{at}.to[{index}].operation"
        yield from _operation(here, to.operation) if to.operation is not None else ((here, "is missing"),)
    for index, condition in enumerate(rule.when or ()):
        yield from _condition(f"{at}.when[{index}]", condition)


def _source(at: str, found: Source) -> Iterator[Problem]:
    named = {
        "principals": (found.principals, found.not_principals, _text),
        "requestPrincipals": (found.request_principals, found.not_request_principals, _text),
        "namespaces": (found.namespaces, found.not_namespaces, _text),
        "serviceAccounts": (found.service_accounts, found.not_service_accounts, _account),
        "trustDomains": (found.trust_domains, found.not_trust_domains, _text),
        "ipBlocks": (found.ip_blocks, found.not_ip_blocks, _network),
        "remoteIpBlocks": (found.remote_ip_blocks, found.not_remote_ip_blocks, _network),
    }
    yield from _pairs(at, named)
    if _any_of(found.service_accounts, found.not_service_accounts):
        for name in ("principals", "namespaces"):
            if _any_of(*named[name][:2]):
                yield f"{at}.serviceAccounts", f"cannot stand beside {name} (hint: a source of their own)"


def _operation(at: str, found: Operation) -> Iterator[Problem]:
    yield from _pairs(
        at,
        {
            "hosts": (found.hosts, found.not_hosts, _text),
            "ports": (found.ports, found.not_ports, _port),
            "methods": (found.methods, found.not_methods, _text),
            "paths": (found.paths, found.not_paths, _path),
        },
    )


def _pairs(at: str, named: Mapping[str, tuple[Texts, Texts, Check]]) -> Iterator[Problem]:
    """What is wrong with lists and with those of what they are not."""
    if not any(_any_of(*pair[:2]) for pair in named.values()):
        yield at, f"says nothing (hint: one of {', '.join(named)})"
    for name, (wanted, unwanted, check) in named.items():
        yield from _texts(f"{at}.{name}", wanted, check)
        yield from _texts(f"{at}.not{name[0].upper()}{name[1:]}", unwanted, check)


def _any_of(*several: Texts) -> bool:
    return any(each is not None for each in several)


def _condition(at: str, found: Condition) -> Iterator[Problem]:
    key = key_of(found.key)
    if not found.key:
        yield f"{at}.key", "is missing (hint: like request.headers[x-user], or source.namespace)"
    elif key is None:
        yield from texts.word(f"{at}.key", found.key, KEYS)
    elif key.name == "request.headers":
        yield from texts.header(f"{at}.key", key.parts[0])
    if not _any_of(found.values, found.not_values):
        yield f"{at}.values", "is missing (hint: values, or notValues)"
    check = _CHECKS.get(key.name, _text) if key is not None else _text
    yield from _texts(f"{at}.values", found.values, check)
    yield from _texts(f"{at}.notValues", found.not_values, check)


def _texts(at: str, several: Texts, check: Check) -> Iterator[Problem]:
    if several is not None and not several:
        yield at, _EMPTY
    for index, each in enumerate(several or ()):
        yield from check(f"{at}[{index}]", each)


def _text(at: str, text: str) -> Iterator[Problem]:
    if not text:
        yield at, "is empty (hint: a star stands for any that is not)"
    elif len(text) > _LONGEST:
        yield (
            at,
            f"is longer than {_LONGEST} characters",
        )  # or an expression for it would be more than Envoy takes


def _network(at: str, text: str) -> Iterator[Problem]:
    try:
        ip_network(text, strict=False)  # Istio's users write ranges by an address in them, too
    except ValueError:
        yield at, f"{text!r} is no address and no range of them (hint: 10.0.0.1, 10.0.0.0/8, fd00::/8)"


def _port(at: str, text: str) -> Iterator[Problem]:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536):
        yield at, f"{text!r} is no port (hint: 1 to 65535)"


def _account(at: str, text: str) -> Iterator[Problem]:
    if not _ACCOUNT.fullmatch(text):
        yield at, f"{text!r} is no service account (hint: namespace/name, or name; they are matched whole)"


def _path(at: str, text: str) -> Iterator[Problem]:
    yield from _text(at, text)
    if is_template(text) and (wrong := template_fault(text)):
        yield at, wrong


_EMPTY = "is empty (hint: leave it out for any; an empty list would mean the same)"
_CHECKS: dict[str, Check] = {
    **dict.fromkeys(ADDRESSES, _network),
    **dict.fromkeys(PORTS, _port),
    "source.serviceAccount": _account,
}
