"""What is wrong with AuthorizationPolicies beyond themselves: who is asked is not there, what is said is of no use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.istio.authorization_policy import DRY_RUN, AuthorizationPolicy, Condition, Rule
from isthmus.api.istio.authorization_policy_keys import ADDRESSES, CEL, PORTS
from isthmus.api.istio.extension_provider import ExtensionProvider, ExternalAuthorizer
from isthmus.api.istio.path_template import is_template
from isthmus.api.resource import Ref
from isthmus.envoy.cel import problem_of
from isthmus.model.collectors import collector, hostnames
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import Hostname
from isthmus.model.service import Service

_SPIFFE = "spiffe://"
_WHOLE = frozenset({"service_accounts", "not_service_accounts", "ports", "not_ports"})
"""Texts in which no star may stand: that is an error of the object."""


def authorization_findings(mesh: Mesh) -> Iterator[Finding]:
    """Everything that keeps policies from being what they were meant to be."""
    found = mesh.of(AuthorizationPolicy)
    asked = any(each.spec.action == "CUSTOM" for each in found)
    services = {key.hostname: service for key, service in mesh.services.items()} if asked else {}
    for each in found:
        yield from by_itself(each)
        provider = each.spec.provider
        if each.spec.action == "CUSTOM" and provider is not None and not each.is_dry:
            yield from _provider(ref_of(each), provider.name, mesh.settings, services)


def ref_of(found: AuthorizationPolicy) -> Ref:
    """By which findings name it."""
    return Ref("AuthorizationPolicy", found.metadata.namespace, found.metadata.name)


def lets_in(found: AuthorizationPolicy) -> bool:
    """Whether calls pass by it, so that a rule which cannot be kept is left out; the others refuse more then."""
    return found.spec.action in {"ALLOW", "AUDIT"}


def by_itself(found: AuthorizationPolicy) -> Iterator[Finding]:
    """What is of no use in a policy, whatever else is there, and what of it Envoy would refuse."""
    spec, ref = found.spec, ref_of(found)
    for path, message in _idle(found):
        yield Finding(ref=ref, path=path, message=message, severity=Severity.WARNING, code=Code.NO_EFFECT)
    for index, rule in enumerate(spec.rules or ()):
        for path, expression in _expressions(f"$.spec.rules[{index}]", rule):
            if wrong := problem_of(expression):
                becomes = "the rule is left out" if lets_in(found) else "the rule goes without it"
                message = f"{expression!r} {wrong}: {becomes} (hint: like request.method == 'GET')"
                yield Finding(ref=ref, path=path, message=message, code=Code.NOT_SENT)


def _idle(found: AuthorizationPolicy) -> Iterator[Problem]:
    spec = found.spec
    if spec.action != "ALLOW" and not spec.rules:
        yield (
            "$.spec.rules",
            f"has no effect: {spec.action} is about no call (hint: rules: [{{}}] is about all)",
        )
    if found.is_dry and spec.action in {"CUSTOM", "AUDIT"}:
        message = (
            f"has no effect: nothing is reported of {spec.action}, and it is not kept (hint: ALLOW or DENY)"
        )
        yield f"$.metadata.annotations[{DRY_RUN}]", message
    for index, rule in enumerate(spec.rules or ()):
        for path, text in _texts(f"$.spec.rules[{index}]", rule):
            if "*" in text.strip("*") or (text.startswith("*") and text.endswith("*") and text != "*"):
                yield path, f"{text!r} is matched with a star in it (hint: one star, first or last)"
            if text.startswith(_SPIFFE):
                yield path, f"{text!r} is nobody (hint: {text.removeprefix(_SPIFFE)}, without {_SPIFFE})"


def _provider(
    ref: Ref, name: str, settings: MeshSettings, known: Mapping[Hostname, Service]
) -> Iterator[Finding]:
    providers = settings.listener.providers
    named = {each.name: each for each in providers if _authorizer(each) is not None}
    where = collector(named[name]) if name in named else None
    if where is None:
        kinds = next((each.chosen for each in providers if each.name == name), ())
        what = f"is {' and '.join(kinds)}" if kinds else "is no extensionProvider of MeshConfig"
        wrong, hint = f"{name!r} {what}", ", ".join(named) or "envoyExtAuthzGrpc, envoyExtAuthzHttp"
    else:
        services = [known[host] for host in hostnames(where, settings) if host in known]
        if any(each.port(where.port) is not None for each in services):
            return
        what = f"has no port {where.port}" if services else "is no service of the mesh"
        wrong, hint = f"{where.service!r} of {name!r} {what}", "see extensionProviders of MeshConfig"
    message = f"{wrong}: calls that it would be asked about are refused (hint: {hint})"
    yield Finding(ref=ref, path="$.spec.provider.name", message=message, code=Code.AUTHORIZER)


def _authorizer(found: ExtensionProvider) -> ExternalAuthorizer | None:
    return found.envoy_ext_authz_http or found.envoy_ext_authz_grpc


def _expressions(at: str, rule: Rule) -> Iterator[tuple[str, str]]:
    for index, condition in enumerate(rule.when or ()):
        if condition.key == CEL:
            yield from _of_condition(f"{at}.when[{index}]", condition)


def _of_condition(at: str, found: Condition) -> Iterator[tuple[str, str]]:
    for name, values in (("values", found.values), ("notValues", found.not_values)):
        yield from ((f"{at}.{name}[{index}]", each) for index, each in enumerate(values or ()))


def _texts(at: str, rule: Rule) -> Iterator[tuple[str, str]]:
    """The texts that are matched by a star at an end, by their paths."""
    parts = [(f"{at}.from[{index}].source", each.source) for index, each in enumerate(rule.from_ or ())]
    more = [(f"{at}.to[{index}].operation", each.operation) for index, each in enumerate(rule.to or ())]
    for path, part in (*parts, *more):
        for field in msgspec.structs.fields(part) if part is not None else ():
            if field.name not in _WHOLE:
                for index, text in enumerate(getattr(part, field.name) or ()):
                    if not is_template(text):
                        yield f"{path}.{field.encode_name}[{index}]", text
    for index, condition in enumerate(rule.when or ()):
        if condition.key not in {CEL, *ADDRESSES, *PORTS}:
            yield from _of_condition(f"{at}.when[{index}]", condition)
