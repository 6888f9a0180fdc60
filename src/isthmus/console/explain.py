"""From a pod and a URL to where the call goes, and what the other side does with it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.console import calls
from isthmus.console.explain_arrivals import SIDECAR, OtherSide, takes
from isthmus.console.explain_dns import NameExplained, explain_name
from isthmus.console.explain_policy import asked, let_in_by
from isthmus.console.explain_reports import reports
from isthmus.console.explain_rules import RulesOf
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Caller, Explanation
from isthmus.console.losses import Loss
from isthmus.console.named_pods import workload_named
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.workload import Workload
from isthmus.translate.trace.call import Call, Speech
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.walk import Side, trace


class Explainer:
    """Explains calls between the pods of a mesh."""

    def __init__(self, source: Source, without: str = "") -> None:
        self._source = source
        self._mesh = source.mesh
        self._loss = Loss.of(without)

    def explain(self, caller: str, target: calls.Target, cluster: str = "") -> Explanation:
        """Where a call of the pod `caller` goes. Raises `calls.WrongCall`."""
        workload = workload_named(self._mesh, caller, cluster)
        if self._loss:
            self._loss.check(self._mesh, self._source.held(workload))
        proxy = self._source.proxy(workload)
        where = calls.Caller(workload.cluster, workload.namespace, proxy.families, workload.network)
        _, host, _ = calls.parts_of(target.url)
        resolved = calls.resolve_name(self._mesh, where, host)
        if target.address and resolved.service is None:
            note = f"the agent beside {workload.name} gives {host} the address {target.address}"
            resolved = resolved._replace(address=target.address, note=note)
        call = calls.call_of(target, resolved)
        if call.speech is Speech.DATAGRAMS:
            call = msgspec.structs.replace(call, hosts=calls.hosts_of(self._mesh, where, resolved, host))
        side = Side.OUTBOUND if proxy.kind is ProxyKind.SIDECAR else Side.GATEWAY
        call = self._captured(workload, call) if side is Side.OUTBOUND else self._at_gateway(workload, call)
        held = self._held(workload)
        if held is None:
            raise calls.WrongCall(f"what the proxy of {workload.name} holds is not known")
        found = trace(held, call, side)
        rules = RulesOf(self._source, workload)
        notes = [*self._notes_on(workload, resolved, side)]
        if side is Side.OUTBOUND and (unserved := calls.unserved(call, resolved.service)):
            notes.append(unserved)
        return Explanation(
            caller=_caller(workload, proxy),
            to=target.url,
            trace=found,
            origins=rules.origins(held, found, resolved.service),
            skipped=tuple(rules.skipped(found, resolved.service)),
            reports=tuple(reports(self._source, workload, found)),
            takes=takes(held, call, side, workload) if side is Side.GATEWAY else "",
            let_in_by=let_in_by(self._source, workload, call) if side is Side.GATEWAY else None,
            asked=asked(self._source, found),
            arrivals=tuple(OtherSide(self._source, self._held).arrivals(found, workload)),
            notes=(*notes, *self._source.notes),
        )

    def explain_name(self, caller: str, name: str, cluster: str = "") -> NameExplained:
        """What a name means to the pod `caller`. Raises `calls.WrongCall`."""
        return explain_name(self._mesh, self._source.proxy(workload_named(self._mesh, caller, cluster)), name)

    def _held(self, workload: Workload) -> Held | None:
        held = self._source.held(workload)
        return held.without(self._loss.hits(self._mesh, workload)) if held and self._loss else held

    def _notes_on(self, workload: Workload, resolved: calls.Resolved, side: Side) -> Iterator[str]:
        if self._loss:
            yield str(self._loss)
        if side is Side.OUTBOUND and resolved.note:
            yield resolved.note
        if side is Side.OUTBOUND and SIDECAR not in workload.labels:
            yield f"{workload.name} has no sidecar: this is what one would do"

    def _captured(self, workload: Workload, call: Call) -> Call:
        return msgspec.structs.replace(call, source=workload.address)

    def _at_gateway(self, workload: Workload, call: Call) -> Call:
        """The call as it arrives at the gateway: at the port that it listens on for the one that is called."""
        target = next((one.target_port for one in workload.serves if one.port.number == call.port), call.port)
        return msgspec.structs.replace(call, address=workload.address, port=target)


def _caller(workload: Workload, proxy: Proxy) -> Caller:
    return Caller(
        name=workload.name,
        namespace=workload.namespace,
        cluster=workload.cluster,
        kind="gateway" if proxy.kind is ProxyKind.ROUTER else "sidecar",
        address=workload.address,
        identity=str(workload.identity),
        locality=str(workload.locality),
    )
