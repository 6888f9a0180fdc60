"""AuthorizationPolicies: that nobody gets past them by coming in plain text, where nobody is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from isthmus.api.istio.authorization_policy import AuthorizationPolicy, Rule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.model.analyze.authorization_callers import OF_CERTIFICATES, Asked, asked_by
from isthmus.model.analyze.authorization_policies import may_mean, workloads_of
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.peer_authentications import PERMISSIVE, PeerAuthentications
from isthmus.model.selection import labels_of, references_of
from isthmus.model.shards import TLS_LABEL
from isthmus.model.workload import Workload


def callers_must_be_known(subject: Subject) -> Iterator[Finding]:
    """Where a rule hangs on who calls, nobody is let in who does not say it."""
    doors = _Doors(subject)
    for found in subject.of(AuthorizationPolicy):
        asking = dict(_evaded(found)) if not (found.is_dry or references_of(found)) else {}
        told: set[int] = set()
        for workload in workloads_of(found, subject) if asking else ():
            for number, asked in asking.items():
                rule = (found.spec.rules or ())[number]
                port = doors.open_port(workload, rule) if number not in told else None
                if port is not None:
                    told.add(number)
                    message = (
                        f"port {port} of {workload.name} takes plain text, where nobody is known: {_becomes(found)} "
                        "(hint: STRICT in its PeerAuthentication, or a DENY of notPrincipals: ['*'])"
                    )
                    yield finding(found, asked.path, message, Code.CALLERS_NAMELESS)
            if len(told) == len(asking):
                break


def _becomes(found: AuthorizationPolicy) -> str:
    match found.spec.action:
        case "ALLOW":
            return "whoever comes so is another, and let in"
        case "CUSTOM":
            return "nobody is asked about who comes so"
        case _:
            return "who comes so is not denied"


def _evaded(found: AuthorizationPolicy) -> Iterator[tuple[int, Asked]]:
    """The rules that are not kept with callers in plain text as they are with others, and what they ask."""
    refuses = found.spec.action in {"DENY", "CUSTOM"}
    for number, rule in enumerate(found.spec.rules or () if found.spec.action != "AUDIT" else ()):
        if refuses != _may_mean_strangers(rule):
            asked = (each for each in asked_by(rule, number) if each.key in OF_CERTIFICATES)
            telling = (each for each in asked if each.is_wanted == refuses)
            yield from ((number, each) for each in islice(telling, 1))


def _may_mean_strangers(rule: Rule) -> bool:
    """Whether a caller without a certificate can meet the rule: all that it asks of who calls is that he be another."""
    if any(_is_demand(each) for each in asked_by(Rule(when=rule.when), 0)):
        return False
    sources = [Rule(from_=(each,)) for each in rule.from_ or ()]
    return not sources or any(not any(map(_is_demand, asked_by(each, 0))) for each in sources)


def _is_demand(asked: Asked) -> bool:
    return asked.key in OF_CERTIFICATES and asked.is_wanted


def _denies_strangers(found: AuthorizationPolicy) -> bool:
    """Whether it denies whoever does not say who he is, whatever he asks."""
    for rule in found.spec.rules or () if found.spec.action == "DENY" else ():
        asked, count = list(asked_by(rule, 0)), len(rule.from_ or ()) + len(rule.when or ())
        nobody = count == 1 and len(asked) == 1 and asked[0].key in OF_CERTIFICATES and not asked[0].is_wanted
        if not rule.to and (not count or (nobody and "*" in asked[0].texts)):
            return True
    return False


class _Doors:
    """Which ports take callers in plain text, and no policy keeps them out there."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._peers = PeerAuthentications(subject.of(PeerAuthentication), subject.root)
        self._open: dict[tuple[ClusterId, str], tuple[int, ...]] = {}

    def open_port(self, workload: Workload, rule: Rule) -> int | None:
        """A port of the workload that takes plain text, and that the rule may mean; None: there is none."""
        key = (workload.cluster, workload.address)
        if key not in self._open:
            self._open[key] = tuple(self._open_ports(workload))
        return next((port for port in self._open[key] if may_mean(rule, port)), None)

    def _open_ports(self, workload: Workload) -> Iterator[int]:
        has_sidecar = dict(workload.labels).get(TLS_LABEL) == "istio"
        if has_sidecar and not self._is_gateway(workload) and not self._is_shut(workload):
            terms = self._peers.terms(workload.namespace, workload.labels)
            yield from (
                port
                for port in sorted({each.target_port for each in workload.serves})
                if terms.at(port) == PERMISSIVE
            )

    def _is_gateway(self, workload: Workload) -> bool:
        labels = dict(workload.labels).items()
        return any(each.spec.selector.items() <= labels for each in self._subject.of(GatewayConfig))

    def _is_shut(self, workload: Workload) -> bool:
        """Whether policies keep out whoever does not say who he is."""
        holding = list(self._holding(workload))
        allowing = [each for each in holding if each.spec.action == "ALLOW"]
        meant = (_may_mean_strangers(rule) for each in allowing for rule in each.spec.rules or ())
        return (bool(allowing) and not any(meant)) or any(map(_denies_strangers, holding))

    def _holding(self, workload: Workload) -> Iterator[AuthorizationPolicy]:
        labels = dict(workload.labels).items()
        for namespace in dict.fromkeys((self._subject.root, workload.namespace)):
            for each in self._of_namespace.get(namespace, ()):
                if labels_of(each).items() <= labels:
                    yield each

    @cached_property
    def _of_namespace(self) -> dict[str, list[AuthorizationPolicy]]:
        found: dict[str, list[AuthorizationPolicy]] = defaultdict(list)
        for each in self._subject.of(AuthorizationPolicy):
            if not each.is_dry and not references_of(each):
                found[each.metadata.namespace].append(each)
        return found
