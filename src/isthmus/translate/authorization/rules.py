"""A rule of an AuthorizationPolicy as a policy of RBAC, in the words that a filter has.

What cannot be said never lets anybody in: a rule that allows is left out then, and one that denies, or asks, is about
more calls than was written, without what cannot be said. Source: Istio's "Authorization on TCP ports".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from isthmus.api.istio.authorization_policy import (
    AuthorizationPolicy,
    Condition,
    Operation,
    Rule,
    Source,
    Texts,
)
from isthmus.api.istio.authorization_policy_keys import CEL, CLUSTER, Key, key_of
from isthmus.envoy.cel import asks_for_requests, problem_of, syntax
from isthmus.envoy.cel_doubt import unless_false
from isthmus.envoy.types import Permission, Policy, Principal
from isthmus.model.authorization_policies import Governing
from isthmus.model.cluster_domains import Domains
from isthmus.translate.authorization import callers, calls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a filter can say: of requests, of connections, or of streams of datagrams, which are known as those are."""

    domains: Sequence[str]  # the mesh's own trust domain, and its other names
    cluster_domains: Domains  # those of single clusters
    requests: bool
    datagrams: Mapping[str, int] | None = (
        None  # ports of the workload by the paths for them; None: no datagrams
    )

    @property
    def knows_requests(self) -> bool:
        return self.requests and self.datagrams is None


class _Unsayable(Exception):
    """The rule asks for something that the dialect has no words for."""


def said(held: Governing, index: int, dialect: Dialect) -> Policy | None:
    """The policy of RBAC for a rule; None where it can be about no call."""
    rule = (held.policy.spec.rules or ())[index]
    speaker = _Speaker(held.policy, dialect)
    try:
        who = [speaker.source(each.source or Source()) for each in rule.from_ or ()]
        what = [speaker.operation(each.operation or Operation()) for each in rule.to or ()]
        speaker.conditions(rule)
        condition = speaker.condition()
        if held.ports is not None and dialect.datagrams is not None:
            speaker.more_what.append(calls.any_of(calls.ports_of_datagrams(held.ports, dialect.datagrams)))
    except _Unsayable:
        return None
    made = Policy(
        permissions=[calls.all_of([*([calls.any_of(what)] if what else ()), *speaker.more_what])],
        principals=[callers.all_of([*([callers.any_of(who)] if who else ()), *speaker.more_who])],
    )
    if condition:
        made.condition.ParseFromString(condition)
    return made


def is_left_out(policy: AuthorizationPolicy) -> bool:
    """Whether rules of the policy are left out where a dialect has no words for them: those that let calls pass."""
    return policy.spec.action in {"ALLOW", "AUDIT"}


class _Speaker:
    """Says the parts of one rule."""

    def __init__(self, policy: AuthorizationPolicy, dialect: Dialect) -> None:
        self._namespace = policy.metadata.namespace
        self._leaves_out = is_left_out(policy)
        self._dialect = dialect
        self.more_who: list[Principal] = []
        self.more_what: list[Permission] = []
        self.expressions: list[str] = []

    def source(self, found: Source) -> Principal:
        named: list[Principal] = []
        for wanted, unwanted, make in self._of_source(found):
            named += [callers.any_of(make(wanted))] if wanted is not None else []
            named += [callers.none_of(make(unwanted))] if unwanted is not None else []
        return callers.all_of(named)

    def operation(self, found: Operation) -> Permission:
        named: list[Permission] = []
        for wanted, unwanted, make in self._of_operation(found):
            named += [calls.any_of(make(wanted))] if wanted is not None else []
            named += [calls.none_of(make(unwanted))] if unwanted is not None else []
        return calls.all_of(named)

    def conditions(self, rule: Rule) -> None:
        for each in rule.when or ():
            key = key_of(each.key)
            if key is None:
                raise _Unsayable
            if key.name == CEL:
                self._expressions(each)
            elif not key.of_requests or self._may_ask_for_requests():
                self._condition(key, each)

    def condition(self) -> bytes:
        """What the expressions ask for together; empty: nothing."""
        together = " && ".join(self.expressions)
        if problem_of(together or "true"):
            # Each by itself is well, and both are not: they are too many, or too deep.
            if self._leaves_out:
                raise _Unsayable
            return b""
        if not together:
            return b""
        parsed = syntax(together)
        return (parsed if self._leaves_out else unless_false(parsed)).SerializeToString(deterministic=True)

    def _of_source(
        self, found: Source
    ) -> Iterator[tuple[Texts, Texts, Callable[[Sequence[str]], list[Principal]]]]:
        domains = self._dialect.domains
        yield found.principals, found.not_principals, lambda names: callers.principals(names, domains)
        yield found.namespaces, found.not_namespaces, callers.namespaces
        yield (
            found.service_accounts,
            found.not_service_accounts,
            lambda names: callers.service_accounts(names, self._namespace),
        )
        yield (
            found.trust_domains,
            found.not_trust_domains,
            lambda names: callers.trust_domains(names, domains),
        )
        yield found.ip_blocks, found.not_ip_blocks, callers.addresses
        yield found.remote_ip_blocks, found.not_remote_ip_blocks, self._first_addresses
        wanted, unwanted = found.request_principals, found.not_request_principals
        if (wanted is not None or unwanted is not None) and self._may_ask_for_requests():
            yield wanted, unwanted, callers.request_principals

    def _of_operation(
        self, found: Operation
    ) -> Iterator[tuple[Texts, Texts, Callable[[Sequence[str]], list[Permission]]]]:
        yield found.ports, found.not_ports, self._ports
        for wanted, unwanted, make in (
            (found.hosts, found.not_hosts, calls.hosts),
            (found.methods, found.not_methods, calls.methods),
            (found.paths, found.not_paths, calls.paths),
        ):
            if (wanted is not None or unwanted is not None) and self._may_ask_for_requests():
                yield wanted, unwanted, make

    def _may_ask_for_requests(self) -> bool:
        """Whether requests can be spoken of; raises `_Unsayable` where the rule must go without."""
        if not self._dialect.knows_requests and self._leaves_out:
            raise _Unsayable
        return self._dialect.knows_requests

    def _ports(self, numbers: Sequence[str]) -> list[Permission]:
        served = self._dialect.datagrams
        return calls.ports(numbers) if served is None else calls.ports_of_datagrams(map(int, numbers), served)

    def _first_addresses(self, ranges: Sequence[str]) -> list[Principal]:
        # Nobody stands between the ends of a tunnel, and what a header says of the first caller is not to be believed.
        return callers.addresses(ranges, of_first=self._dialect.datagrams is None)

    def _condition(self, key: Key, found: Condition) -> None:
        who = self._who(key)
        for values, is_wanted in ((found.values, True), (found.not_values, False)):
            if values is None:
                continue
            if who is not None:
                made = who(values)
                self.more_who.append(callers.any_of(made) if is_wanted else callers.none_of(made))
            else:
                what = self._what(key)(values)
                self.more_what.append(calls.any_of(what) if is_wanted else calls.none_of(what))

    def _who(self, key: Key) -> Callable[[Sequence[str]], list[Principal]] | None:
        domains = self._dialect.domains
        makers: Mapping[str, Callable[[Sequence[str]], list[Principal]]] = {
            "source.principal": lambda values: callers.principals(values, domains),
            "source.namespace": callers.namespaces,
            "source.serviceAccount": lambda values: callers.service_accounts(values, self._namespace),
            "source.trustDomain": lambda values: callers.trust_domains(values, domains),
            CLUSTER: lambda values: callers.clusters(values, domains, self._dialect.cluster_domains),
            "source.ip": callers.addresses,
            "remote.ip": self._first_addresses,
            "request.auth.principal": callers.request_principals,
            "request.auth.audiences": lambda values: callers.claims(("aud",), values),
            "request.auth.presenter": lambda values: callers.claims(("azp",), values),
            "request.auth.claims": lambda values: callers.claims(key.parts, values),
        }
        return makers.get(key.name)

    def _what(self, key: Key) -> Callable[[Sequence[str]], list[Permission]]:
        makers: Mapping[str, Callable[[Sequence[str]], list[Permission]]] = {
            "request.headers": lambda values: [
                Permission(header=calls.header(key.parts[0], each)) for each in values
            ],
            "destination.ip": calls.addresses,
            "destination.port": self._ports,
            "connection.sni": calls.server_names,
        }
        name = key.name.removeprefix("experimental.")
        return makers.get(key.name, lambda values: calls.told_by_filter(name, key.parts[0], values))

    def _expressions(self, found: Condition) -> None:
        """Expressions of which one must hold, and those of which none may."""
        if found.values is not None and all(map(self._is_sayable, found.values)):
            self.expressions.append(f"({_either(found.values)})")
        forbidden = [each for each in found.not_values or () if self._is_sayable(each)]
        if forbidden:
            self.expressions.append(f"!({_either(forbidden)})")

    def _is_sayable(self, expression: str) -> bool:
        """Raises `_Unsayable` where it is not, and the rule must go without."""
        is_known = not problem_of(expression) and (
            self._dialect.knows_requests or not asks_for_requests(expression)
        )
        if not is_known and self._leaves_out:
            raise _Unsayable
        return is_known


def _either(expressions: Sequence[str]) -> str:
    # Each on lines of its own: it may end in a comment.
    return " || ".join(f"(\n{each}\n)" for each in expressions)
