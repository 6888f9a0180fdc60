"""What the trace says of a call beside what a real Envoy does with it, in the same words."""

from __future__ import annotations

import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from drawn.http_rules import CHANGED, SPOKEN_OF
from fakes.recording_app import ANSWERED, FAIL, WAIT
from fakes.spoken_tls import Spoken
from fakes.staged_envoy import HOST, ROUTE, Stage
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.names import VIRTUAL_OUTBOUND
from isthmus.translate.offline import read_case
from isthmus.translate.trace.call import Request
from isthmus.translate.trace.header_changes import sent_on
from isthmus.translate.trace.held import made_for
from isthmus.translate.trace.steps import Answer, Closed, Forward, Redirect
from isthmus.translate.trace.walk import Side, trace

SIDECAR = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.2.9.9",
    name="caller",
    namespace="default",
    cluster=ClusterId("c"),
    labels=(("app", "caller"), ("version", "v1")),
)
ROUTER = replace(
    SIDECAR,
    kind=ProxyKind.ROUTER,
    address="10.2.9.7",
    name="edge",
    labels=(("istio", "edge"), *SIDECAR.labels),
)
OF_THE_API = replace(ROUTER, labels=(("gateway.networking.k8s.io/gateway-name", "web"),))
INGRESS = replace(ROUTER, namespace="istio-system", labels=(("istio", "ingressgateway"),))
_AS_GRPC = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""Source: gRPC, http-grpc-status-mapping.md; all others are 2."""
_LATE_S = 5.0  # for a mirrored request to arrive, at most


def must_agree(applications, text, calls, proxy=SIDECAR, side=Side.OUTBOUND):
    """Raises where the trace of one of `calls` is not what an Envoy does that holds what `proxy` is told.

    `text` is a case with everything that there is in the mesh.
    """
    case = read_case(text)
    refused = [each.value for each in case.changes if isinstance(each.value, Finding)]
    assert not refused, refused
    held = made_for(case.generation(), proxy)
    with TemporaryDirectory() as folder, Stage(held, applications).running(Path(folder)) as stage:
        for call in calls:
            found = trace(held, call, side)
            if found.listener is None:
                continue  # nobody listens there
            entrance = found.listener.listener if side is Side.GATEWAY else VIRTUAL_OUTBOUND
            differing = disagreements(stage, call, entrance, found)
            assert not differing, (str(call), call, differing)


def disagreements(stage, call, listener, found):
    """What of `found`, the trace of `call`, is not as Envoy does it; nothing where they agree."""
    seen = stage.send(call, listener)
    several = list(_said_by_trace(found, call))
    fitting = [(branch, said) for branch, said in several if said == _said_by_envoy(stage, seen, said)]
    if not fitting:
        return [("envoy", _said_by_envoy(stage, seen)), ("trace", [said for _, said in several])]
    return min((list(_besides(stage, call, seen, branch)) for branch, _ in fitting), key=len)


def _said_by_envoy(stage, seen, beside=None):
    """What it did; `beside` what the trace says, which knows no route of an answer where none matched."""
    where = (seen.headers.get(HOST), seen.headers.get(ROUTE))
    if beside is not None and beside[:2] == (None, None) and where[1] is None:
        where = (None, None)
    if seen.place is not None:
        return (None, None, "forward", *stage.places[seen.place], "", "")
    if (asked := seen.answering) is not None:
        return (*where, "forward", *stage.place_of(asked), asked.host, asked.path)
    if "location" in seen.headers:
        return (*where, "redirect", _status(seen, beside), seen.headers["location"])
    return (*where, "answer", _status(seen, beside)) if seen.status else (*where, "closed")


def _status(seen, beside):
    """That of HTTP; to callers of gRPC Envoy says the same in their own words."""
    told = seen.headers.get("grpc-status")
    if told is not None and beside is not None and beside[2] in {"answer", "redirect"}:
        return beside[3] if int(told) == _AS_GRPC.get(beside[3], 2) else seen.status
    return seen.status


def _said_by_trace(found, call):
    """All that may happen, with the branch that it is of."""
    for branch in found.branches:
        route = branch.route
        where = (route.virtual_host, str(route.index)) if route else (None, None)
        match branch.action:
            case Forward() as action:
                for one in action.upstreams:
                    if route is None:  # of a connection: a request in it is left as it is
                        is_seen = call.request is not None and (
                            call.hello is None or found.listener.tls.mode != "plain"
                        )
                        inside = call.request if is_seen else Request(path="")
                        one = replace(one, host=inside.host, path=inside.path)
                    yield from (
                        (branch, (*where, *each)) for each in _arriving(one, is_request=route is not None)
                    )
                if 0 < action.timeout_s < 1:
                    yield branch, (*where, "answer", 504)
            case Redirect(status=status, location=location):
                yield branch, (*where, "redirect", status, location)
            case Answer(status=status, why=why):
                # Whoever answers before the router does not say which route it was.
                yield branch, (*((None, None) if "preflight" in why else where), "answer", status)
            case Closed():
                yield branch, (None, None, "closed")


def _arriving(upstream, *, is_request):
    """What an upstream may do with the call."""
    called = [each for each in upstream.endpoints if each.serves]
    if not called:
        yield ("answer", 503) if is_request else ("closed",)
    for each in called:
        address = "0.0.0.1:1" if upstream.kind == "ORIGINAL_DST" else each.address
        yield ("forward", upstream.name, address, upstream.host, upstream.path)


def _besides(stage, call, seen, branch):
    """What is wrong beside where the call ends."""
    if isinstance(branch.action, Forward) and (seen.place is not None or seen.answering is not None):
        # Where no word is said of it, Envoy offers what it will speak: here HTTP/1.1, if it is requests.
        usual = () if branch.route is None else ("http/1.1",)
        yield from _spoken(stage, seen, branch.action, usual)
    if branch.route is None:
        return
    if isinstance(branch.action, Forward):
        yield from _sent(stage, call, seen, branch)
        yield from _copies(stage, call, seen, branch.action)
    else:
        yield from _answer(seen, branch.answers, call.request)


def _spoken(stage, seen, action, usual):
    """In which TLS it was sent on; of endpoints that are chosen by their address the trace has one."""
    place = seen.place if seen.place is not None else seen.answering.place
    name, address = stage.places[place]
    (of_name, *_) = [each for each in action.upstreams if each.name == name]
    endpoints = [each for each in of_name.endpoints if each.address == address] or list(of_name.endpoints)
    expected = [
        Spoken(each.tls.mode, each.tls.sni, each.tls.alpn or (usual if each.tls.mode != "plain" else ()))
        for each in endpoints
    ]
    if seen.spoken not in expected:
        yield ("in TLS", seen.spoken, expected)


def _sent(stage, call, seen, branch):
    """The headers of the request as it was sent on, and of its answer."""
    asked = seen.answering
    if asked is None:
        shares = [each for each in branch.action.upstreams if not any(one.serves for one in each.endpoints)]
        several = [list(_answer(seen, (*each.answers, *branch.answers), call.request)) for each in shares]
        yield from min(several, key=len, default=[])
        return
    upstream, _ = stage.place_of(asked)
    several = [each for each in branch.action.upstreams if each.name == upstream]
    # Two shares of one upstream may change headers in two ways.
    options = []
    for each in several:
        headers = call.request.headers if each.headers is None else each.headers
        found = []
        if _known(asked.headers) != _known(headers):
            found.append(("headers", _known(asked.headers), _known(headers)))
        sent = replace(call.request, headers=headers, host=each.host, path=each.path)
        found += _answer(seen, (*each.answers, *branch.answers), sent)
        options.append(found)
    yield from min(options, key=len)


def _answer(seen, changes, request):
    """What the headers of the answer are, and should be."""
    own = ANSWERED if seen.answering is not None else ()
    said = tuple(each for each in request.headers if each[0] == SPOKEN_OF)
    expected = _known(sent_on(Request(headers=(*own, *said)), [[each] for each in changes]).headers)
    got = _known((*seen.headers.items(), *said))
    if got != expected:
        yield ("answer", got, expected)


def _known(headers):
    """Those that rules change, by name: several of a name in their order."""
    found = {}
    for name, value in headers:
        if name in CHANGED:
            value = value.strip()  # as whoever reads it does
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _copies(stage, call, seen, action):
    """What is sent on beside the request that is answered: its repetitions and its mirrors."""
    said = dict(call.request.headers)
    own = [each for each in seen.receipts if not each.is_mirrored]
    expected = 1 + min(int(said.get(FAIL, "0")), action.retries if retries_503(action.retry_on) else 0)
    if WAIT not in said and own and seen.status != 504 and len(own) != expected:
        yield ("tries", len(own), expected, action.retry_on)
    mirrors = sorted(each.split()[0] for each in action.mirrors if each.endswith(" 100 %"))
    limit = time.monotonic() + _LATE_S
    while (got := _mirrored(stage, seen)) != mirrors and time.monotonic() < limit and own:
        time.sleep(0.01)
    if own and got != mirrors:
        yield ("mirrored to", got, mirrors)


def _mirrored(stage, seen):
    return sorted(stage.place_of(each)[0] for each in stage.receipts(seen) if each.is_mirrored)


def retries_503(retry_on):
    """Whether a request that was answered with 503 is tried again."""
    return bool({"5xx", "gateway-error", "503"} & set(re.split("[, ]", retry_on)))
