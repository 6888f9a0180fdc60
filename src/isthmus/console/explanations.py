"""What `isthmus explain` says: a trace, with the objects and lines behind it, and what the other side does."""

from __future__ import annotations

import msgspec

from isthmus.translate.trace.steps import EndpointShare, Trace


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """From whom a call comes."""

    name: str
    namespace: str
    cluster: str
    kind: str  # sidecar, gateway
    address: str = ""
    identity: str = ""
    locality: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a route's rule is written."""

    object: str  # VirtualService namespace/name
    entry: str = ""  # http[1].match[0]
    place: str = ""  # file:line
    delegate: Origin | None = None  # to whom that entry leaves its routes

    def __str__(self) -> str:
        words = [self.object, self.entry, f"({self.place})" if self.place else ""]
        if self.delegate is not None:
            words += ["→ delegate", str(self.delegate).removeprefix("VirtualService ")]
        return " ".join(word for word in words if word)


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the rules of which the proxy has no route."""

    origin: Origin
    why: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream is to be spoken to, and why."""

    mode: str
    why: str = ""
    by: Origin | None = None

    def __str__(self) -> str:
        return f"asks for {self.mode} by {self.by}" if self.by else f"asks for {self.mode}: {self.why}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a call to others, and by which rules; none: as the mesh's settings say."""

    what: str
    by: tuple[Origin, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} by {', '.join(map(str, self.by)) or 'MeshConfig'}"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy beside an endpoint does with what it is sent."""

    endpoint: str
    trace: Trace | None
    workload: str = ""  # namespace/name of the pod at that address
    problem: str = ""  # why it would be refused
    note: str = ""  # why there is no trace
    takes: str = ""  # whether the proxy is permissive or strict there
    terms_by: Origin | None = None  # the PeerAuthentication that says so; None: nobody, it is what is usual
    let_in_by: Origin | None = None  # the ingress of a Sidecar, the server of a Gateway
    rule: Origin | None = None  # of a gateway: by which it sends the call on
    asked: dict[str, Asked] = {}  # of a gateway: how it speaks to those it sends the call on to
    behind: tuple[EndpointShare, ...] = ()  # of a gateway between networks: to whom it passes the call on
    beyond: tuple[Arrival, ...] = ()  # what becomes of it at these


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes, and why."""

    caller: Caller
    to: str
    trace: Trace
    takes: str = ""  # of a gateway: how callers may come
    let_in_by: Origin | None = None  # of a gateway: the server
    origins: dict[str, Origin] = {}  # by index of a route in its virtual host
    skipped: tuple[Skipped, ...] = ()
    reports: tuple[Report, ...] = ()
    asked: dict[str, Asked] = {}  # by name of the upstream
    arrivals: tuple[Arrival, ...] = ()
    notes: tuple[str, ...] = ()
    ends: dict[str, float] = {}  # where such calls end, in per cent: where it is asked what would be if
    was: dict[str, float] = {}  # and where they end as things are

    def against(self, before: Explanation | None) -> Explanation:
        """The same, told beside how it was before what is supposed; None: there was no such call."""
        was = before.destinations() if before is not None else {"nowhere: there was no such call": 100.0}
        return msgspec.structs.replace(self, ends=self.destinations(), was=was)

    def destinations(self) -> dict[str, float]:
        """In per cent where such calls end: pods by name, addresses of what is no pod, `redirect …`, `404`."""
        found: dict[str, float] = {}
        for name, share in self._ends():
            if share:
                found[name] = found.get(name, 0.0) + share
        return {name: round(share, 2) for name, share in found.items()}

    def _ends(self) -> list[tuple[str, float]]:
        ends: list[tuple[str, float]] = []
        for branch in self.trace.branches:
            match branch.action.__struct_config__.tag:
                case "redirect":
                    ends.append((f"redirect {getattr(branch.action, 'location', '')}", branch.share))
                case "answer":
                    ends.append((str(getattr(branch.action, "status", "")), branch.share))
                case "closed":
                    ends.append(("closed", branch.share))
        for share, upstream in self.trace.forwards:
            called = [one for one in upstream.endpoints if one.share]
            if not called:
                ends.append(("503", share))
            for one in called:
                of_one = self._through(one) if one.serves else [(None, one.share)]
                ends += [(self.name_of(end) if end else "503", share * part / 100) for end, part in of_one]
        return ends

    def _through(self, endpoint: EndpointShare) -> list[tuple[EndpointShare, float]]:
        """Where a call to an endpoint ends, with its share: behind a gateway of another network, if it is one."""
        arrival = next((each for each in self.arrivals if each.endpoint == endpoint.address), None)
        if not endpoint.network or arrival is None or not arrival.behind:
            return [(endpoint, endpoint.share)]
        return [(one, endpoint.share * one.share / 100) for one in arrival.behind]

    def name_of(self, endpoint: EndpointShare) -> str:
        """The pod behind an endpoint; its address where none is known there."""
        if endpoint.network:
            return endpoint.address
        at = {each.endpoint: each.workload for each in self.arrivals}
        return (endpoint.workload or at.get(endpoint.address, "")).rpartition("/")[2] or endpoint.address
