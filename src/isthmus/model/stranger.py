"""A call of which no certificate and no token says who makes it, and what rules of AuthorizationPolicies mean of it.

Of much nothing is known beforehand (addresses, headers, hosts), so there are two questions: is it meant for sure, and
may it be. Source: Istio's AuthorizationPolicy reference.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from isthmus.api.istio.authorization_policy import Condition, Operation, Rule, Source, Texts
from isthmus.api.istio.authorization_policy_keys import key_of
from isthmus.api.istio.path_template import is_template

_WHO = ("principals", "namespaces", "service_accounts", "trust_domains", "request_principals")
"""Fields of sources that a stranger has nothing of, so that all their negations hold of it."""
_ALIKE = frozenset(f"not_{name}" for name in _WHO)
_WHO_KEYS = frozenset(
    {
        "source.namespace",
        "source.serviceAccount",
        "source.trustDomain",
        "source.principal",
        "source.cluster",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.claims",
    }
)
_KNOWN = frozenset({"ports", "methods", "paths", "not_ports", "not_methods", "not_paths"})


class Stranger(NamedTuple):
    """The call."""

    port: int
    method: str
    path: str

    def may_be_meant(self, rule: Rule) -> bool:
        """Whether nothing that is known speaks against it."""
        sources = [each.source or Source() for each in rule.from_ or ()]
        operations = [each.operation or Operation() for each in rule.to or ()]
        return (
            (not sources or any(_may_be_stranger(each) for each in sources))
            and (not operations or any(self._fits(each) for each in operations))
            and not any(self._speaks_against(each) for each in rule.when or ())
        )

    def is_meant(self, rule: Rule) -> bool:
        """Whether all that the rule asks for is known, and so."""
        sources = [each.source or Source() for each in rule.from_ or ()]
        operations = [each.operation or Operation() for each in rule.to or ()]
        return (
            (not sources or any(_said(each) <= _ALIKE for each in sources))
            and (not operations or any(_said(each) <= _KNOWN and self._fits(each) for each in operations))
            and all(self._is_so(each) for each in rule.when or ())
        )

    def _fits(self, found: Operation) -> bool:
        return all(
            (wanted is None or _any_is(wanted, own)) and not _any_is(unwanted, own)
            for own, wanted, unwanted in (
                (str(self.port), found.ports, found.not_ports),
                (self.method, found.methods, found.not_methods),
                (self.path, found.paths, found.not_paths),
            )
        )

    def _speaks_against(self, found: Condition) -> bool:
        key = key_of(found.key)
        if found.key == "destination.port":
            return not self._is_so(found)
        return key is not None and key.name in _WHO_KEYS and found.values is not None

    def _is_so(self, found: Condition) -> bool:
        key = key_of(found.key)
        if found.key == "destination.port":
            own = str(self.port)
            return (found.values is None or own in found.values) and own not in (found.not_values or ())
        return key is not None and key.name in _WHO_KEYS and found.values is None


def _may_be_stranger(source: Source) -> bool:
    return all(getattr(source, name) is None for name in _WHO)


def _said(part: Source | Operation) -> set[str]:
    return {name for name in part.__struct_fields__ if getattr(part, name) is not None}


def _any_is(patterns: Texts, text: str) -> bool:
    return any(_is(each, text) for each in patterns or ())


def _is(pattern: str, text: str) -> bool:
    """Whether a text is meant: whole, by its begin (`a*`), by its end (`*a`), or by a template of paths."""
    if is_template(pattern):
        parts = {"{*}": "[^/]+", "{**}": ".*"}
        return (
            re.fullmatch("/".join(parts.get(each, re.escape(each)) for each in pattern.split("/")), text)
            is not None
        )
    if pattern == "*":
        return bool(text)
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text.endswith(pattern[1:]) if pattern.startswith("*") else text == pattern
