"""The other side of a call: what the proxies at its endpoints do with it, and those behind gateways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from isthmus.console.behind_gateways import at_door, doors
from isthmus.console.explain_policy import asked, let_in_by, terms_at
from isthmus.console.explain_rules import RulesOf
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Arrival
from isthmus.model.identity import cluster_name
from isthmus.model.names import ClusterId
from isthmus.model.peer_authentications import STRICT
from isthmus.model.proxy import ProxyKind
from isthmus.model.workload import Workload
from isthmus.translate.trace.call import Call, Hello, Request, Speech, Untraceable
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.stance import stance
from isthmus.translate.trace.steps import Answer, Closed, EndpointShare, Says, Trace, UpstreamShare
from isthmus.translate.trace.transport import expected
from isthmus.translate.trace.walk import Side, trace

_MOST_ARRIVALS = 20
SIDECAR = ("security.istio.io/tlsMode", "istio")
"""The label of pods with a sidecar, as it is put there with it."""


_SHUT = "strict: tunnels in mutual TLS alone are taken, plain datagrams are dropped"
_DROPPED = "datagrams that come in no tunnel are dropped before the application"


class OtherSide:
    """Explains what becomes of calls where they arrive. `held` is what a workload's proxy holds, where it is known."""

    def __init__(self, source: Source, held: Callable[[Workload], Held | None]) -> None:
        self._source, self._held = source, held
        self._workloads = {
            (each.cluster, address): each
            for each in source.mesh.workloads.values()
            for address in (each.address, *each.also)
        }
        self._clusters = {cluster for cluster, _ in source.mesh.workloads}

    def arrivals(self, found: Trace, workload: Workload) -> Iterator[Arrival]:
        """What becomes of the call of a workload at each endpoint, up to some."""
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
        for gateway, port in doors(self._source, endpoint.network, endpoint.cluster):
            passed = at_door(self._source, (gateway, port), endpoint.tls, str(workload.identity))
            if passed is None:
                continue
            who = f"{gateway.namespace}/{gateway.name}"
            from_there = msgspec.structs.replace(call, source=gateway.address)
            beyond = tuple(
                self._arrival(from_there, upstream, one, workload) for one in passed.served[:_MOST_ARRIVALS]
            )
            problem = "" if beyond else f"gateway {who} lets no call for {endpoint.tls.sni} in"
            return Arrival(
                endpoint=endpoint.address,
                trace=None,
                workload=who,
                problem=problem or next((each.problem for each in beyond if each.problem), ""),
                note=f"gateway {who} passes it on by its server name",
                takes=passed.takes,
                let_in_by=let_in_by(self._source, gateway, passed.call),
                behind=passed.served,
                beyond=beyond,
            )
        note = f"is a gateway of network {endpoint.network}, whose proxy is not known here"
        return Arrival(endpoint=endpoint.address, trace=None, note=note)

    def _arrival(
        self, call: Call, upstream: UpstreamShare, endpoint: EndpointShare, workload: Workload
    ) -> Arrival:
        cluster = ClusterId(endpoint.cluster) or workload.cluster
        there = self._workloads.get((cluster, _ip(endpoint)))
        if there is None:
            was_asked = cluster in self._clusters
            note = "is no pod of the mesh" if was_asked else f'cluster "{cluster}" was not asked'
            return Arrival(endpoint=endpoint.address, trace=None, note=note)
        nothing = Arrival(endpoint=endpoint.address, trace=None, workload=f"{there.namespace}/{there.name}")
        is_gateway = self._source.proxy(there).kind is ProxyKind.ROUTER
        if SIDECAR not in there.labels and not is_gateway:
            problem = "" if endpoint.tls.mode != "mutual" else "there is no sidecar to take mutual TLS"
            return msgspec.structs.replace(nothing, problem=problem, note="has no sidecar")
        held = self._held(there)
        side = Side.GATEWAY if is_gateway else Side.INBOUND
        sent = onward(call, upstream, endpoint, workload)
        mode, by = terms_at(self._source, there, _target(there, sent))
        is_shut = call.speech is Speech.DATAGRAMS and mode == STRICT
        said = takes(held, sent, side, workload) if held is not None else ""
        nothing = msgspec.structs.replace(nothing, takes=_SHUT if is_shut else said, terms_by=by)
        if call.speech is Speech.DATAGRAMS and endpoint.tls.mode == "plain":
            problem, note = (_DROPPED, "") if is_shut else ("", "no proxy stands in their way")
            return msgspec.structs.replace(nothing, problem=problem, note=note)
        if held is None:
            return msgspec.structs.replace(nothing, note="its proxy was not asked")
        try:
            arrived = trace(held, sent, side)
        except Untraceable as error:
            return msgspec.structs.replace(nothing, note=str(error))
        return msgspec.structs.replace(
            nothing,
            trace=arrived,
            problem=problem_of(arrived, endpoint, str(there.identity)),
            let_in_by=let_in_by(self._source, there, sent),
            rule=RulesOf(self._source, there).taken(held, arrived) if is_gateway else None,
            asked=asked(self._source, arrived) if is_gateway else {},
        )


def takes(held: Held, call: Call, side: Side, caller: Workload) -> str:
    """How callers may come where `call` arrives, in words; empty where the trace does not know."""
    try:
        return stance(held, call, side, str(caller.identity)).value
    except Untraceable:
        return ""


def onward(call: Call, upstream: UpstreamShare, endpoint: EndpointShare, caller: Workload) -> Call:
    """The call that the proxy of `caller` makes to an endpoint."""
    port = endpoint.address.rpartition(":")[2]
    tls, request = endpoint.tls, call.request
    hello = call.hello
    if tls.mode != "plain":
        hello = Hello(sni=tls.sni, alpn=tls.alpn)
        if tls.mode == "mutual":
            hello = shown_by(caller, hello)
    if request is not None:
        request = Request(
            method=request.method,
            host=upstream.host or request.host,
            path=upstream.path or request.path,
            headers=request.headers if upstream.headers is None else upstream.headers,
        )
    elif call.speech is Speech.DATAGRAMS and upstream.path:
        request = Request(method="CONNECT", host=upstream.host, path=upstream.path)
    speech = Speech(upstream.speech) if upstream.speech else call.speech
    return Call(
        address=_ip(endpoint), port=int(port), speech=speech, request=request, hello=hello, source=call.source
    )


def shown_by(caller: Workload, hello: Hello) -> Hello:
    """The handshake with the certificate that Citadel gives `caller`."""
    names = (cluster_name(caller.cluster, caller.identity.trust_domain),)
    return msgspec.structs.replace(hello, identity=str(caller.identity), names=names)


def _target(workload: Workload, sent: Call) -> int:
    """The port of the application that is meant by what its proxy is sent: in a tunnel that follows from its path."""
    path = sent.request.path if sent.speech is Speech.DATAGRAMS and sent.request is not None else ""
    meant = (one for one in workload.serves if path.endswith(f"/{one.service.hostname}/{one.port.number}/"))
    return next((one.target_port for one in meant), sent.port)


def _ip(endpoint: EndpointShare) -> str:
    return endpoint.address.rpartition(":")[0].strip("[]")


def problem_of(arrived: Trace, endpoint: EndpointShare, identity: str) -> str:
    """Why the endpoint's side or the caller's would refuse; empty where both agree."""
    if endpoint.tls.proxy_line:
        return "its sidecar knows no PROXY protocol"
    for branch in arrived.branches:
        if isinstance(branch.action, Closed):
            return branch.action.why
        if isinstance(branch.action, Answer) and any(each.says is Says.REFUSES for each in arrived.verdicts):
            return f"{branch.action.status}, {branch.action.why}"
    ends_tls = arrived.listener is not None and arrived.listener.tls.mode != "plain"
    if endpoint.tls.mode == "mutual" and not ends_tls:
        return "mutual TLS is passed on to the application"
    if ends_tls and not expected(endpoint.tls, identity):
        return f"the caller expects {' or '.join(endpoint.tls.expects)}, and this is {identity}"
    return ""
