"""What the filters of a chain that guard it say of a call, one after the other: RBAC, jwt_authn, ext_authz."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from isthmus.envoy.types import (
    Any,
    EnvoyHttpFilter,
    Filter,
    HttpExtAuthz,
    HttpRbac,
    JwtAuthentication,
    ListStringMatcher,
    NetworkExtAuthz,
    NetworkRbac,
    RbacRules,
)
from isthmus.translate.trace import jwt_authn
from isthmus.translate.trace.call import Untraceable
from isthmus.translate.trace.facts import Facts, Rewriter
from isthmus.translate.trace.metadata_match import metadata_matches
from isthmus.translate.trace.rbac import Ruling, ruling
from isthmus.translate.trace.steps import Says, Verdict

RBAC, NETWORK_RBAC = "envoy.filters.http.rbac", "envoy.filters.network.rbac"
"""Under which metadata of dry runs is kept, whatever a filter is called."""


_NAMED = re.compile(
    r"(?:istio-ext-authz-(?P<provider>.+)-)?ns\[(?P<namespace>.*)\]-policy\[(?P<name>.*)\]-rule\[(?P<rule>\d+)\]"
)


class Meant(NamedTuple):
    """Which rule of which AuthorizationPolicy Envoy calls by a name, and which provider is asked about it, if any."""

    namespace: str
    name: str
    rule: int
    provider: str


def meant_by(policy: str) -> Meant | None:
    """The rule that an RBAC policy was made of; None where its name is none of ours."""
    found = _NAMED.fullmatch(policy)
    if found is None:
        return None
    return Meant(found["namespace"], found["name"], int(found["rule"]), found["provider"] or "")


class Passed(NamedTuple):
    """What one filter says, and the call as it stands after it."""

    verdicts: tuple[Verdict, ...]
    facts: Facts
    reroutes: bool = False


Guard = Callable[[str, Any, Facts], Passed]
"""What a filter of that name and configuration says of a call. Raises `Untraceable`."""


class Judged(NamedTuple):
    """What all guards of a chain say, up to the first that refuses."""

    verdicts: tuple[Verdict, ...]
    facts: Facts
    routed: Facts  # the call as it is when its route is chosen

    @property
    def refused(self) -> Verdict | None:
        """The verdict by which the call ends here."""
        return next((each for each in self.verdicts if each.says is Says.REFUSES), None)


def judged(filters: Iterable[EnvoyHttpFilter | Filter], facts: Facts) -> Judged:
    """What the guards among `filters` say of a call."""
    verdicts: list[Verdict] = []
    routed, hidden = facts, ""
    for each in filters:
        type_ = each.typed_config.type_url.rpartition("/")[2]
        if type_ in _ANSWERING:
            hidden = hidden or f"it stands behind {_ANSWERING[type_]}, which may answer first"
        if type_ not in _GUARDS or getattr(each, "disabled", False):
            continue
        passed = _unknown(each.name, hidden, facts) if hidden else _passed(each, _GUARDS[type_], facts)
        verdicts += passed.verdicts
        facts = passed.facts
        routed = facts if passed.reroutes else routed
        says = {one.says for one in passed.verdicts}
        if Says.REFUSES in says:
            break
        if Says.UNKNOWN in says and type_ in _TELLING:
            hidden = hidden or f"what {each.name} leaves for it is not known"
    return Judged(tuple(verdicts), facts, routed)


def _passed(each: EnvoyHttpFilter | Filter, guard: Guard, facts: Facts) -> Passed:
    try:
        return guard(each.name, each.typed_config, facts)
    except Untraceable as error:
        return _unknown(each.name, str(error), facts)


def _unknown(name: str, why: str, facts: Facts) -> Passed:
    return Passed((Verdict(filter=name, says=Says.UNKNOWN, why=why),), facts)


def is_guard(type_url: str) -> bool:
    """Whether a filter of this type is judged here."""
    return type_url.rpartition("/")[2] in _GUARDS


def _http_rbac(name: str, config: Any, facts: Facts) -> Passed:
    return _by_rules(name, HttpRbac.FromString(config.value), facts, RBAC)


def _network_rbac(name: str, config: Any, facts: Facts) -> Passed:
    return _by_rules(name, NetworkRbac.FromString(config.value), facts, NETWORK_RBAC)


def _by_rules(name: str, config: HttpRbac | NetworkRbac, facts: Facts, key: str) -> Passed:
    """First what is only tried, which decides nothing, then what holds."""
    if config.HasField("matcher") or config.HasField("shadow_matcher"):
        raise Untraceable("it decides by a tree of matchers, which the trace does not know")
    verdicts: list[Verdict] = []
    if config.HasField("shadow_rules"):
        try:
            tried = ruling(config.shadow_rules, facts)
        except Untraceable as error:
            verdicts.append(Verdict(filter=name, says=Says.UNKNOWN, why=str(error), is_tried=True))
            facts = facts.with_metadata(key, {_UNKNOWN: str(error)})
        else:
            prefix = config.shadow_rules_stat_prefix
            verdicts.append(_verdict(name, tried, config.shadow_rules, is_tried=True))
            found = {f"{prefix}shadow_engine_result": "allowed" if tried.allows else "denied"}
            if tried.policy:
                found[f"{prefix}shadow_effective_policy_id"] = tried.policy
            facts = facts.with_metadata(key, found)
    if config.HasField("rules"):
        verdicts.append(_verdict(name, ruling(config.rules, facts), config.rules))
    return Passed(tuple(verdicts), facts)


_UNKNOWN = "what it says is not known"


def _verdict(name: str, found: Ruling, of: RbacRules, *, is_tried: bool = False) -> Verdict:
    return Verdict(
        filter=name,
        says=Says.PASSES if found.allows else Says.REFUSES_IN_TRIAL if is_tried else Says.REFUSES,
        status=0 if found.allows or is_tried else 403,
        action=found.action,
        policy=found.policy,
        among=tuple(of.policies),
        is_tried=is_tried,
    )


def _jwt_authn(name: str, config: Any, facts: Facts) -> Passed:
    met = jwt_authn.judge(JwtAuthentication.FromString(config.value), facts)
    if met.problem is not None:
        refuses = Verdict(filter=name, says=Says.REFUSES, status=met.problem.status, why=met.problem.why)
        return Passed((refuses,), facts)
    why = f"a token of {' and of '.join(met.issuers)}" if met.issuers else "no token"
    return Passed((Verdict(filter=name, says=Says.PASSES, why=why),), met.facts, met.reroutes)


def _http_ext_authz(name: str, config: Any, facts: Facts) -> Passed:
    made = HttpExtAuthz.FromString(config.value)
    if made.HasField("filter_enabled"):
        raise Untraceable("it asks for some calls only, by chance")
    return _by_asking(name, made, facts, RBAC)


def _network_ext_authz(name: str, config: Any, facts: Facts) -> Passed:
    return _by_asking(name, NetworkExtAuthz.FromString(config.value), facts, NETWORK_RBAC)


def _by_asking(name: str, config: HttpExtAuthz | NetworkExtAuthz, facts: Facts, key: str) -> Passed:
    provider = _asked_of(config)
    if config.HasField("filter_enabled_metadata"):
        if why := facts.metadata.get(key, {}).get(_UNKNOWN):
            raise Untraceable(str(why))
        if not metadata_matches(config.filter_enabled_metadata, facts.metadata):
            return Passed((Verdict(filter=name, says=Says.PASSES, why="not asked"),), facts)
    headers = _rewritten(config)
    if facts.request is not None and (headers is None or headers.patterns):
        rewriters = (*facts.rewriters, Rewriter(provider, headers))
        facts = msgspec.structs.replace(facts, rewriters=rewriters)
    return Passed((Verdict(filter=name, says=Says.ASKS, why=provider),), facts)


def _rewritten(config: HttpExtAuthz | NetworkExtAuthz) -> ListStringMatcher | None:
    """Which headers of a request are those of the answer then: by HTTP such as the filter names, by gRPC any."""
    if isinstance(config, HttpExtAuthz) and config.HasField("http_service"):
        answer = config.http_service.authorization_response
        several = answer.allowed_upstream_headers, answer.allowed_upstream_headers_to_append
        return ListStringMatcher(patterns=[one for each in several for one in each.patterns])
    return None


def _asked_of(config: HttpExtAuthz | NetworkExtAuthz) -> str:
    """The upstream that is asked."""
    if config.HasField("grpc_service"):
        return config.grpc_service.envoy_grpc.cluster_name or config.grpc_service.google_grpc.target_uri
    return config.http_service.server_uri.cluster if isinstance(config, HttpExtAuthz) else ""


_EXTENSIONS = "envoy.extensions.filters"
_ANSWERING = {
    f"{_EXTENSIONS}.http.fault.v3.HTTPFault": "fault",
    f"{_EXTENSIONS}.http.cors.v3.Cors": "cors",
}
"""Filters that answer some requests themselves. Those that guard are before them, if nobody puts others there."""
_TELLING = frozenset({f"{_EXTENSIONS}.http.jwt_authn.v3.JwtAuthentication"})
"""Those whose findings others ask for."""
_GUARDS: Mapping[str, Guard] = {
    f"{_EXTENSIONS}.http.rbac.v3.RBAC": _http_rbac,
    f"{_EXTENSIONS}.network.rbac.v3.RBAC": _network_rbac,
    f"{_EXTENSIONS}.http.jwt_authn.v3.JwtAuthentication": _jwt_authn,
    f"{_EXTENSIONS}.http.ext_authz.v3.ExtAuthz": _http_ext_authz,
    f"{_EXTENSIONS}.network.ext_authz.v3.ExtAuthz": _network_ext_authz,
}
