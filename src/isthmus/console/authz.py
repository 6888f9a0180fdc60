"""Whether a workload lets a call in, and by which rule: what the filters say that its own proxy holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.resource import Ref
from isthmus.console.authz_called import Asking, Called, Who, called, caller_of
from isthmus.console.authz_verdicts import Decision, Judgement, Said, Step
from isthmus.console.calls import WrongCall
from isthmus.console.explain_arrivals import SIDECAR
from isthmus.console.explain_policy import origin
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Origin
from isthmus.model.authorization_policies import AuthorizationPolicies
from isthmus.model.identity import cluster_name
from isthmus.model.proxy import ProxyKind
from isthmus.model.workload import Workload
from isthmus.translate.trace.call import Call, Hello, Request, Speech, Untraceable
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.judgement import meant_by
from isthmus.translate.trace.routing import without_port
from isthmus.translate.trace.steps import Answer, Closed, Says, Trace, Verdict
from isthmus.translate.trace.walk import Side, trace
from isthmus.translate.transport import upstream_alpn


class Checker:
    """Checks calls to the workloads of a mesh."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._mesh = source.mesh
        self._policies = AuthorizationPolicies(
            self._mesh.of(AuthorizationPolicy), self._mesh.settings.root_namespace
        )

    def check(self, asking: Asking) -> Said:
        """What becomes of such a call at each workload that is meant. Raises `WrongCall`."""
        who = caller_of(self._mesh, asking)
        found = called(self._mesh, asking.to)
        judgements = tuple(self._judged(asking, who, each) for each in found)
        return Said(
            caller=str(who),
            to=asking.to,
            request=f"{asking.request.method} {asking.request.path}"
            if asking.request is not None
            else "bytes",
            decision=_worst([each.decision for each in judgements]),
            judgements=judgements,
            notes=(*who.notes, *self._source.notes),
        )

    def _judged(self, asking: Asking, who: Who, to: Called) -> Judgement:
        workload = to.workload
        nothing = Judgement(
            workload=f"{workload.namespace}/{workload.name}", cluster=workload.cluster, port=to.port
        )
        if SIDECAR not in workload.labels and self._side(workload) is Side.INBOUND:
            why = "it has no sidecar: whoever reaches it is let in"
            return replace(nothing, decision=Decision.ALLOWED, why=why)
        held = self._source.held(workload)
        if held is None:
            why = "what its proxy holds is not known: it did not answer, or its cluster was not asked"
            return replace(nothing, decision=Decision.UNKNOWN, why=why)
        try:
            found, how = _arriving(held, self._forms(asking, who, to), self._side(workload))
        except Untraceable as error:
            return replace(nothing, decision=Decision.UNKNOWN, why=str(error))
        decision, why = _decided(found)
        return replace(
            nothing,
            decision=decision,
            why=why,
            how=how,
            status=next((each.status for each in found.verdicts if each.says is Says.REFUSES), 0),
            steps=tuple(self._steps(found)),
            policies=tuple(self._holding(workload)),
        )

    def _side(self, workload: Workload) -> Side:
        is_gateway = self._source.proxy(workload).kind is ProxyKind.ROUTER
        return Side.GATEWAY if is_gateway else Side.INBOUND

    def _forms(self, asking: Asking, who: Who, to: Called) -> Iterator[tuple[str, Call]]:
        """The call in the ways in which the caller may make it, the likeliest first."""
        is_http = asking.request is not None
        speech = Speech.HTTP1 if is_http else Speech.BYTES
        request = _addressed(asking.request, to)
        plain = Call(
            address=to.workload.address, port=to.port, speech=speech, request=request, source=who.address
        )
        if who.identity and not asking.in_plain_text:
            names = (cluster_name(who.cluster, who.trust_domain),) if who.cluster else ()
            alpn = tuple(upstream_alpn(is_http, False))
            hello = Hello(sni=to.server_name, alpn=alpn, identity=who.identity, names=names)
            yield "mutual TLS", replace(plain, hello=hello)
        yield "plain text", plain
        if self._side(to.workload) is Side.GATEWAY and request is not None:
            sni = without_port(request.host)
            # As browsers do: who ends the TLS sees the request in it.
            hello = Hello(sni=sni, alpn=("h2", "http/1.1"), identity=who.identity)
            yield "TLS", replace(plain, hello=hello, speech=Speech.BYTES)

    def _steps(self, found: Trace) -> Iterator[Step]:
        for each in found.verdicts:
            yield Step(
                filter=each.filter,
                verdict=each,
                by=self._origin(each.policy),
                provider=self._provider(each.policy),
            )

    def _provider(self, policy: str) -> str:
        """Who is asked where a rule means a call, also where nobody can be; empty: the rule decides itself."""
        meant = meant_by(policy)
        if meant is None or meant.provider:
            return meant.provider if meant is not None else ""
        ref = Ref(AuthorizationPolicy.__name__, meant.namespace, meant.name)
        found = self._mesh.config.get(AuthorizationPolicy.__name__, {}).get(ref)
        provider = found.spec.provider if isinstance(found, AuthorizationPolicy) else None
        return provider.name if provider is not None else ""

    def _origin(self, policy: str) -> Origin | None:
        meant = meant_by(policy)
        if meant is None:
            return None
        ref = Ref(AuthorizationPolicy.__name__, meant.namespace, meant.name)
        return origin(self._source, ref, f"$.spec.rules[{meant.rule}]")

    def _holding(self, workload: Workload) -> Iterator[str]:
        """The policies that hold for the workload, by the configuration."""
        for each in self._policies.holding(self._source.proxy(workload)):
            meta, dry = each.metadata, ", dry run" if each.is_dry else ""
            yield f"{meta.namespace}/{meta.name} ({each.spec.action}{dry})"


def _addressed(request: Request | None, to: Called) -> Request | None:
    return request if request is None or request.host else replace(request, host=to.host)


def _arriving(held: Held, forms: Iterator[tuple[str, Call]], side: Side) -> tuple[Trace, str]:
    """The trace of the first form in which the connection is taken; of the first where it is in none."""
    first: tuple[Trace, str] | None = None
    for how, call in forms:
        found = trace(held, call, side)
        first = first or (found, how)
        if found.verdicts or not all(isinstance(each.action, Closed) for each in found.branches):
            return found, how
    if first is None:
        raise WrongCall("there is no way to make such a call")
    return first


def _decided(found: Trace) -> tuple[Decision, str]:
    """What the verdicts come to, and why."""
    decides = [each for each in found.verdicts if not each.is_tried]
    actions = [each.action for each in found.branches]
    refusing = [each for each in decides if each.says is Says.REFUSES]
    if refusing or all(isinstance(each, Closed) for each in actions):
        return Decision.DENIED, next((each.why for each in actions if isinstance(each, Answer | Closed)), "")
    unknown = [f"{each.filter}: {each.why}" for each in decides if each.says is Says.UNKNOWN]
    unknown += [f"filter {each} may yet decide otherwise" for each in found.unexamined]
    if unknown:
        return Decision.UNKNOWN, "; ".join(unknown)
    if any(each.says is Says.ASKS for each in decides):
        return Decision.ASKED, "it is let in if those that are asked let it in"
    return Decision.ALLOWED, _why_allowed(decides) + _and_then(actions)


def _why_allowed(decides: Sequence[Verdict]) -> str:
    allowing = next((each for each in decides if each.action == "ALLOW" and each.policy), None)
    if allowing is None:
        return "nothing denies it, and no policy says who alone may" if decides else "no policy decides here"
    meant = meant_by(allowing.policy)
    if meant is None:
        return f"{allowing.policy} allows it"
    return f"AuthorizationPolicy {meant.namespace}/{meant.name} rules[{meant.rule}] allows it"


def _and_then(actions: Sequence[object]) -> str:
    """What Envoy answers in place of the application."""
    answers = [each for each in actions if isinstance(each, Answer)]
    return "".join(f"; Envoy answers {each.status}: {each.why}" for each in answers[:1])


def _worst(decisions: Sequence[Decision]) -> Decision:
    """One for all of them: denied where one denies, allowed where all allow."""
    order = (Decision.DENIED, Decision.UNKNOWN, Decision.ASKED, Decision.ALLOWED)
    return min(decisions, key=order.index, default=Decision.UNKNOWN)
