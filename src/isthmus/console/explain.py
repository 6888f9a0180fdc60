"""From a pod and a URL to where the call goes, and what the other side does with it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.console import calls
from isthmus.console.behind_gateways import at_door, behind, doors
from isthmus.console.explain_dns import NameExplained, explain_name
from isthmus.console.explain_policy import asked, let_in_by
from isthmus.console.explain_reports import reports
from isthmus.console.explain_rules import RulesOf
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Arrival, Caller, Explanation
from isthmus.console.losses import Loss
from isthmus.console.named_pods import workload_named
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.workload import Workload
from isthmus.translate.trace.call import Call, Hello, Request, Speech, Untraceable
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.stance import stance
from isthmus.translate.trace.steps import Closed, EndpointShare, Trace, UpstreamShare
from isthmus.translate.trace.transport import expected
from isthmus.translate.trace.walk import Side, trace

_MOST_ARRIVALS = 20
_SIDECAR = ("security.istio.io/tlsMode", "istio")
"""The label of pods with a sidecar, as it is put there with it."""


class Explainer:
    """Explains calls between the pods of a mesh."""

    def __init__(self, source: Source, without: str = "") -> None:
        self._source = source
        self._mesh = source.mesh
        self._loss = Loss.of(without)
        self._workloads = {
            (each.cluster, address): each
            for each in source.mesh.workloads.values()
            for address in (each.address, *each.also)
        }
        self._clusters = {cluster for cluster, _ in source.mesh.workloads}

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
        notes = [*self._source.notes, *self._notes_on(workload, resolved, side)]
        return Explanation(
            caller=_caller(workload, proxy),
            to=target.url,
            trace=found,
            origins=rules.origins(held, found, resolved.service),
            skipped=tuple(rules.skipped(found)),
            reports=tuple(reports(self._source, workload, found)),
            asked=asked(self._source, found),
            arrivals=tuple(self._arrivals(found, workload)),
            notes=tuple(notes),
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
        if side is Side.OUTBOUND and _SIDECAR not in workload.labels:
            yield f"{workload.name} has no sidecar: this is what one would do"

    def _captured(self, workload: Workload, call: Call) -> Call:
        return msgspec.structs.replace(call, source=workload.address)

    def _at_gateway(self, workload: Workload, call: Call) -> Call:
        """The call as it arrives at the gateway: at the port that it listens on for the one that is called."""
        target = next((one.target_port for one in workload.serves if one.port.number == call.port), call.port)
        return msgspec.structs.replace(call, address=workload.address, port=target)

    def _arrivals(self, found: Trace, workload: Workload) -> Iterator[Arrival]:
        seen: set[tuple[str, str]] = set()
        for _, upstream in found.forwards:
            for endpoint in upstream.endpoints:
                key = (endpoint.address, str(endpoint.tls))
                if key not in seen and len(seen) < _MOST_ARRIVALS and endpoint.health == "healthy":
                    seen.add(key)
                    if endpoint.network:
                        yield self._through(found.call, upstream, endpoint, workload)
                    else:
                        yield self._arrival(found.call, upstream, endpoint, workload)

    def _through(
        self, call: Call, upstream: UpstreamShare, endpoint: EndpointShare, workload: Workload
    ) -> Arrival:
        """What becomes of the call at a gateway of another network, and behind it."""
        hello = Hello(sni=endpoint.tls.sni, alpn=endpoint.tls.alpn, identity=str(workload.identity))
        for door in doors(self._source, endpoint.network, endpoint.cluster):
            passed = at_door(self._source, door, hello)
            if passed is None:
                continue
            who = f"{door[0].namespace}/{door[0].name}"
            served = tuple(behind(passed))
            problem = "" if served else f"gateway {who} lets no call for {endpoint.tls.sni} in"
            arrivals = [
                self._arrival(call, upstream, msgspec.structs.replace(one, tls=endpoint.tls), workload)
                for one in served[:_MOST_ARRIVALS]
            ]
            return Arrival(
                endpoint=endpoint.address,
                trace=None,
                workload=who,
                problem=problem or next((each.problem for each in arrivals if each.problem), ""),
                note=f"gateway {who} passes it on by its server name",
                behind=served,
            )
        note = f"is a gateway of network {endpoint.network}, whose proxy is not known here"
        return Arrival(endpoint=endpoint.address, trace=None, note=note)

    def _arrival(
        self, call: Call, upstream: UpstreamShare, endpoint: EndpointShare, workload: Workload
    ) -> Arrival:
        cluster = ClusterId(endpoint.cluster) or workload.cluster
        there = self._workloads.get((cluster, _ip(endpoint)))
        if there is None:
            note = (
                f'cluster "{cluster}" was not asked'
                if cluster not in self._clusters
                else "is no pod of the mesh"
            )
            return Arrival(endpoint=endpoint.address, trace=None, note=note)
        who = f"{there.namespace}/{there.name}"
        is_gateway = self._source.proxy(there).kind is ProxyKind.ROUTER
        if _SIDECAR not in there.labels and not is_gateway:
            problem = "" if endpoint.tls.mode != "mutual" else "there is no sidecar to take mutual TLS"
            note = "has no sidecar"
            return Arrival(endpoint=endpoint.address, trace=None, workload=who, problem=problem, note=note)
        if call.speech is Speech.DATAGRAMS and endpoint.tls.mode == "plain":
            return Arrival(
                endpoint=endpoint.address, trace=None, workload=who, note="no proxy stands in their way"
            )
        sent = onward(call, upstream, endpoint, str(workload.identity))
        held = self._held(there)
        if held is None:
            return Arrival(
                endpoint=endpoint.address, trace=None, workload=who, note="its proxy was not asked"
            )
        side = Side.GATEWAY if is_gateway else Side.INBOUND
        try:
            arrived = trace(held, sent, side)
            takes = (
                ""
                if is_gateway or sent.speech is Speech.DATAGRAMS
                else (stance(held, sent, side, str(workload.identity)).value)
            )
        except Untraceable as error:
            return Arrival(endpoint=endpoint.address, trace=None, workload=who, note=str(error))
        return Arrival(
            endpoint=endpoint.address,
            trace=arrived,
            workload=who,
            problem=problem_of(arrived, endpoint, str(there.identity)),
            takes=takes,
            let_in_by=None if is_gateway else let_in_by(self._source, there, sent.port),
        )


def onward(call: Call, upstream: UpstreamShare, endpoint: EndpointShare, identity: str) -> Call:
    """The call that a proxy makes to an endpoint, as the caller with this identity."""
    port = endpoint.address.rpartition(":")[2]
    tls, request = endpoint.tls, call.request
    hello = call.hello
    if tls.mode != "plain":
        hello = Hello(sni=tls.sni, alpn=tls.alpn, identity=identity if tls.mode == "mutual" else "")
    if request is not None:
        request = Request(
            method=request.method,
            host=upstream.host or request.host,
            path=upstream.path or request.path,
            headers=request.headers if upstream.headers is None else upstream.headers,
        )
    elif call.speech is Speech.DATAGRAMS:
        request = Request(method="CONNECT", host=upstream.host, path=upstream.path)
    speech = Speech(upstream.speech) if upstream.speech else call.speech
    return Call(
        address=_ip(endpoint), port=int(port), speech=speech, request=request, hello=hello, source=call.source
    )


def _ip(endpoint: EndpointShare) -> str:
    return endpoint.address.rpartition(":")[0].strip("[]")


def problem_of(arrived: Trace, endpoint: EndpointShare, identity: str) -> str:
    """Why the endpoint's side or the caller's would refuse; empty where both agree."""
    if endpoint.tls.proxy_line:
        return "its sidecar knows no PROXY protocol"
    for branch in arrived.branches:
        if isinstance(branch.action, Closed):
            return branch.action.why
    ends_tls = arrived.listener is not None and arrived.listener.tls.mode != "plain"
    if endpoint.tls.mode == "mutual" and not ends_tls:
        return "mutual TLS is passed on to the application"
    if ends_tls and not expected(endpoint.tls, identity):
        return f"the caller expects {' or '.join(endpoint.tls.expects)}, and this is {identity}"
    return ""


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
