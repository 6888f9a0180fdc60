"""What policies have decided of connections before anybody has said a byte.

Envoy asks RBAC when the first byte of a caller comes, and calls the upstream before: a server that speaks first has
greeted whoever calls by then. Source: Envoy's RBAC network filter, and its issue 9023.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.envoy.types import Permission, Policy, Principal, RbacRules
from isthmus.translate.authorization.rbac import Sieve

Tried = bool | None
"""Whether something holds; None: for some callers."""


def nobody_passes(sieves: Iterable[Sieve], port: int, *, proven: bool) -> bool:
    """Whether no connection to `port` is let in, whoever calls. `proven`: callers have shown who they are."""
    return any(each.rules is not None and _refuses_all(each.rules, _Known(port, proven)) for each in sieves)


class _Known:
    """What is known of all connections that come by a chain."""

    def __init__(self, port: int, proven: bool) -> None:
        self._port, self._proven = port, proven

    def policy(self, found: Policy) -> Tried:
        what = _any(self.permission(each) for each in found.permissions)
        who = _any(self.principal(each) for each in found.principals)
        return _all([what, who, None if found.HasField("condition") else True])

    def permission(self, found: Permission) -> Tried:
        match found.WhichOneof("rule"):
            case "any":
                return True
            case "and_rules":
                return _all(self.permission(each) for each in found.and_rules.rules)
            case "or_rules":
                return _any(self.permission(each) for each in found.or_rules.rules)
            case "not_rule":
                return _not(self.permission(found.not_rule))
            case "destination_port" if self._port:
                return found.destination_port == self._port
            case _:
                return None

    def principal(self, found: Principal) -> Tried:
        match found.WhichOneof("identifier"):
            case "any":
                return True
            case "and_ids":
                return _all(self.principal(each) for each in found.and_ids.ids)
            case "or_ids":
                return _any(self.principal(each) for each in found.or_ids.ids)
            case "not_id":
                return _not(self.principal(found.not_id))
            case "custom":  # by certificate
                return None if self._proven else False
            case _:
                return None


def _refuses_all(rules: RbacRules, known: _Known) -> bool:
    found = [known.policy(each) for each in rules.policies.values()]
    match rules.action:
        case RbacRules.DENY:
            return _any(found) is True
        case RbacRules.ALLOW:
            return _any(found) is False
    return False


def _any(found: Iterable[Tried]) -> Tried:
    several = set(found)
    return True if True in several else None if None in several else False


def _all(found: Iterable[Tried]) -> Tried:
    return _not(_any(_not(each) for each in found))


def _not(found: Tried) -> Tried:
    return None if found is None else not found
