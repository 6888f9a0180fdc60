"""The rules of AuthorizationPolicies, gathered by what becomes of calls, as what RBAC filters are told.

Source: Istio's reference on dry-run, and the names by which its dashboards look for these statistics and metadata.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from isthmus.envoy.types import Policy, Principal, RbacRules
from isthmus.model.authorization_policies import Governing, looks_at_tokens
from isthmus.translate.authorization import calls
from isthmus.translate.authorization.external import Authorizer
from isthmus.translate.authorization.rules import Dialect, said

EXTERNAL = "istio-ext-authz-"
"""How the names of policies begin whose calls a provider is asked about."""
ASKED = "istio_ext_authz_"
"""How the names of metadata and statistics begin that say so."""
TRIED = "istio_dry_run_"
"""The same of policies that are only tried; then follows their action."""
POLICY_ID = "shadow_effective_policy_id"
UNGOVERNED = "ports-without-policies"


@dataclass(frozen=True, slots=True)
class Sieve:
    """One filter of RBAC: what it enforces, what it only reports on, and who is asked about what it finds."""

    rules: RbacRules | None = None
    shadow: RbacRules | None = None
    shadow_prefix: str = ""
    authorizer: Authorizer | None = (
        None  # asked about calls of which `shadow` says that they would be refused
    )
    asks_about: str = ""  # how the names of these policies begin
    before_tokens: bool = False  # whether calls pass it before their tokens are looked at


def sieves(
    held: Iterable[Governing], dialect: Dialect, authorizers: Mapping[str, Authorizer]
) -> Iterator[Sieve]:
    """The filters that calls pass, first to last: CUSTOM, AUDIT, DENY, ALLOW."""
    found: dict[tuple[str, bool], list[Governing]] = defaultdict(list)
    for each in held:
        found[each.policy.spec.action, each.policy.is_dry].append(each)
    asking = found["CUSTOM", False]
    for name in dict.fromkeys(map(_provider, asking)):
        meant = [each for each in asking if _provider(each) == name]
        yield _custom(name, meant, dialect, authorizers.get(name))
    if audited := found["AUDIT", False]:
        yield Sieve(rules=_rules(audited, dialect, "LOG"))
    for action in ("DENY", "ALLOW"):
        enforced, dry = found[action, False], found[action, True]
        if enforced or dry:
            yield Sieve(
                rules=_rules(enforced, dialect, action) if enforced else None,
                shadow=_rules(dry, dialect, action) if dry else None,
                shadow_prefix=f"{TRIED}{action.lower()}_" if dry else "",
            )


def _custom(name: str, meant: list[Governing], dialect: Dialect, authorizer: Authorizer | None) -> Sieve:
    # Who is asked may put the token into the request, unless it depends on the token that he is asked.
    before = not any(looks_at_tokens(each.policy) for each in meant)
    if authorizer is None or not (dialect.requests or authorizer.takes_connections):
        # Nobody can be asked, so nobody is let in.
        return Sieve(rules=_rules(meant, dialect, "DENY"), before_tokens=before)
    prefix = f"{EXTERNAL}{name}-"
    return Sieve(
        shadow=_rules(meant, dialect, "DENY", prefix),
        shadow_prefix=ASKED,
        authorizer=authorizer,
        asks_about=f"{prefix}ns[",
        before_tokens=before,
    )


def _provider(each: Governing) -> str:
    provider = each.policy.spec.provider
    return provider.name if provider is not None else ""


def _rules(
    meant: list[Governing], dialect: Dialect, action: Literal["ALLOW", "DENY", "LOG"], prefix: str = ""
) -> RbacRules:
    """What the policies say of calls; where it is of none, no rules: nothing is allowed then, or nothing denied."""
    made = RbacRules(action=action)
    for each in meant:
        meta = each.policy.metadata
        for index in range(len(each.policy.spec.rules or ())):
            rule = said(each, index, dialect)
            if rule is not None:
                name = f"ns[{meta.namespace}]-policy[{meta.name}]-rule[{index}]"
                made.policies[prefix + name].CopyFrom(rule)
    free = _ungoverned(meant, dialect) if action == "ALLOW" else None
    if free is not None:
        made.policies[UNGOVERNED].CopyFrom(free)
    return made


def _ungoverned(meant: list[Governing], dialect: Dialect) -> Policy | None:
    """Streams of datagrams for ports on which none of the policies holds: they share a listener with others."""
    if dialect.datagrams is None or any(each.ports is None for each in meant):
        return None
    governed = {port for each in meant for port in each.ports or ()}
    free = [path for path, port in dialect.datagrams.items() if port not in governed]
    return Policy(permissions=calls.paths(free), principals=[Principal(any=True)]) if free else None
