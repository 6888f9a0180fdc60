"""What the rules of Envoy's RBAC filters say of a call, and by which policy.

Source: Envoy's RBAC reference. Of the policies that match, the first by name is the one that Envoy names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from isthmus.envoy.types import (
    CidrRange,
    HeaderMatcher,
    MtlsAuthenticated,
    PathMatcher,
    Permission,
    Policy,
    Principal,
    RbacRules,
    SourcedMetadata,
    SubjectAltNameMatcher,
    TypedExtensionConfig,
    UriTemplateMatchConfig,
)
from isthmus.translate.trace import uri_template
from isthmus.translate.trace.call import Request, Untraceable
from isthmus.translate.trace.cel_condition import condition_holds
from isthmus.translate.trace.conditions import header_holds
from isthmus.translate.trace.enums import enum_name
from isthmus.translate.trace.facts import WRITTEN_BY_ENVOY, Facts
from isthmus.translate.trace.metadata_match import metadata_matches
from isthmus.translate.trace.text_match import text_matches


class Ruling(NamedTuple):
    """What rules say: whether a call may go on, and the policy that matched, empty where none did."""

    allows: bool
    policy: str
    action: str  # ALLOW, DENY, LOG


def ruling(rules: RbacRules, facts: Facts) -> Ruling:
    """What `rules` say of a call. Raises `Untraceable` where they ask for what is not known here."""
    action = enum_name(rules, "action")
    unknown: Untraceable | None = None
    for name in sorted(rules.policies, key=str.encode):
        try:
            if policy_matches(rules.policies[name], facts):
                return Ruling(action != "DENY", name, action)
        except Untraceable as error:
            unknown = Untraceable(f"{name}: {error}")  # another may match, and then it matters no more
    if unknown is not None:
        raise unknown
    return Ruling(action != "ALLOW", "", action)


def policy_matches(policy: Policy, facts: Facts) -> bool:
    """Whether one of the policy's permissions, one of its principals and its condition hold."""
    if policy.HasField("cel_config"):
        raise Untraceable("a policy says how its condition is evaluated, which the trace does not know")
    return (
        any(permission_holds(each, facts) for each in policy.permissions)
        and any(principal_holds(each, facts) for each in policy.principals)
        # What stands in `checked_condition` is not looked at.
        and (not policy.HasField("condition") or condition_holds(policy.condition, facts))
    )


def permission_holds(asked: Permission, facts: Facts) -> bool:
    """Whether the call is to something that is permitted."""
    kind = asked.WhichOneof("rule") or "nothing"
    if kind not in _PERMISSIONS:
        raise Untraceable(f"a policy permits by {kind}, which the trace does not know")
    return _PERMISSIONS[kind](asked, facts)


def principal_holds(asked: Principal, facts: Facts) -> bool:
    """Whether the call is of somebody who is meant."""
    kind = asked.WhichOneof("identifier") or "nothing"
    if kind not in _PRINCIPALS:
        raise Untraceable(f"a policy means callers by {kind}, which the trace does not know")
    return _PRINCIPALS[kind](asked, facts)


def _is_authenticated(asked: Principal, facts: Facts) -> bool:
    """TLS is enough where no name is asked for; without a certificate a caller's name is empty."""
    if not facts.is_tls or not asked.authenticated.HasField("principal_name"):
        return facts.is_tls
    return any(text_matches(asked.authenticated.principal_name, each) for each in facts.principals)


def _custom_holds(asked: TypedExtensionConfig, facts: Facts) -> bool:
    if not asked.typed_config.type_url.endswith("mtls_authenticated.v3.Config"):
        raise Untraceable(f"a policy means callers by {asked.name}, which the trace does not know")
    config = MtlsAuthenticated.FromString(asked.typed_config.value)
    if not facts.is_tls or not (facts.uris or facts.names):
        return False
    if config.any_validated_client_certificate:
        return True
    return any(text_matches(config.san_matcher.matcher, each) for each in _of_kind(config.san_matcher, facts))


def _of_kind(matcher: SubjectAltNameMatcher, facts: Facts) -> Iterable[str]:
    kind = enum_name(matcher, "san_type")
    if kind not in {"URI", "DNS"}:
        raise Untraceable(f"a policy asks for a certificate's {kind}, which the trace does not know")
    return facts.uris if kind == "URI" else facts.names


def _header_holds(matcher: HeaderMatcher, facts: Facts) -> bool:
    name = matcher.name.lower()
    if facts.request is None:
        return header_holds(matcher, None)
    if name in WRITTEN_BY_ENVOY:
        raise Untraceable(f"a policy asks for {name}, which Envoy writes itself")
    return header_holds(matcher, facts.header(name))


def _path_holds(matcher: PathMatcher, facts: Facts) -> bool:
    path = _bare_path(facts.request)
    return path is not None and text_matches(matcher.path, path)


def _template_holds(asked: TypedExtensionConfig, facts: Facts) -> bool:
    if not asked.typed_config.type_url.endswith("UriTemplateMatchConfig"):
        raise Untraceable(f"a policy asks for paths by {asked.name}, which the trace does not know")
    config = UriTemplateMatchConfig.FromString(asked.typed_config.value)
    return uri_template.fits(config.path_template, _bare_path(facts.request) or "")


def _bare_path(request: Request | None) -> str | None:
    """The path without its query; None where there is none."""
    if request is None or (request.method == "CONNECT" and not request.path):
        return None
    return request.path.partition("?")[0].partition("#")[0]


def _is_in(range_: CidrRange, address: str, what: str) -> bool:
    if not address:
        raise Untraceable(f"a policy asks for {what}, which is not known")
    found = ip_address(address)
    network = ip_network(f"{range_.address_prefix}/{range_.prefix_len.value}", strict=False)
    return found in network


def _sourced(matcher: SourcedMetadata, facts: Facts) -> bool:
    if enum_name(matcher, "metadata_source") != "DYNAMIC":
        raise Untraceable("a policy asks for metadata of the route, which the trace does not know")
    return metadata_matches(matcher.metadata_matcher, facts.metadata)


def _port_is_in(asked: Permission, facts: Facts) -> bool:
    return asked.destination_port_range.start <= facts.port < asked.destination_port_range.end


_OF_CALLER = "the caller's address"
_PERMISSIONS: Mapping[str, Callable[[Permission, Facts], bool]] = {
    "and_rules": lambda one, facts: all(permission_holds(each, facts) for each in one.and_rules.rules),
    "or_rules": lambda one, facts: any(permission_holds(each, facts) for each in one.or_rules.rules),
    "not_rule": lambda one, facts: not permission_holds(one.not_rule, facts),
    "any": lambda _, __: True,
    "header": lambda one, facts: _header_holds(one.header, facts),
    "url_path": lambda one, facts: _path_holds(one.url_path, facts),
    "uri_template": lambda one, facts: _template_holds(one.uri_template, facts),
    "destination_ip": lambda one, facts: _is_in(one.destination_ip, facts.address, "the called address"),
    "destination_port": lambda one, facts: facts.port == one.destination_port,
    "destination_port_range": _port_is_in,
    "requested_server_name": lambda one, facts: text_matches(one.requested_server_name, facts.sni),
    "metadata": lambda one, facts: metadata_matches(one.metadata, facts.metadata),
    "sourced_metadata": lambda one, facts: _sourced(one.sourced_metadata, facts),
}
_PRINCIPALS: Mapping[str, Callable[[Principal, Facts], bool]] = {
    "and_ids": lambda one, facts: all(principal_holds(each, facts) for each in one.and_ids.ids),
    "or_ids": lambda one, facts: any(principal_holds(each, facts) for each in one.or_ids.ids),
    "not_id": lambda one, facts: not principal_holds(one.not_id, facts),
    "any": lambda _, __: True,
    "authenticated": _is_authenticated,
    "source_ip": lambda one, facts: _is_in(one.source_ip, facts.source, _OF_CALLER),
    "direct_remote_ip": lambda one, facts: _is_in(one.direct_remote_ip, facts.direct, _OF_CALLER),
    "remote_ip": lambda one, facts: _is_in(one.remote_ip, facts.remote, _OF_CALLER),
    "header": lambda one, facts: _header_holds(one.header, facts),
    "url_path": lambda one, facts: _path_holds(one.url_path, facts),
    "metadata": lambda one, facts: metadata_matches(one.metadata, facts.metadata),
    "sourced_metadata": lambda one, facts: _sourced(one.sourced_metadata, facts),
    "custom": lambda one, facts: _custom_holds(one.custom, facts),
}
