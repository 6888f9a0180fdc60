"""What a trace says: one value for each thing that Envoy decides on a call's way."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.translate.trace.call import Call


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around the bytes of a connection."""

    mode: str = "plain"  # plain, tls, mutual; else the name of Envoy's transport socket
    sni: str = ""
    alpn: tuple[str, ...] = ()
    expects: tuple[str, ...] = ()  # names of which the other side's certificate must have one; none: any
    asks: bool = False  # whether it asks callers for a certificate that they need not have
    proxy_line: str = ""  # the version of the PROXY protocol that says first from where the connection comes

    def __str__(self) -> str:
        words = {"plain": "plain text", "tls": "TLS", "mutual": "mutual TLS"}
        parts = [words.get(self.mode, self.mode)]
        if self.sni:
            parts.append(f"SNI {self.sni}")
        if self.expects:
            parts.append("peer " + " or ".join(self.expects))
        if self.asks:
            parts.append("a certificate is asked for and not demanded")
        if self.proxy_line:
            parts.append(f"after a PROXY protocol line ({self.proxy_line})")
        return ", ".join(parts)


class EndpointShare(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, and its share of what its upstream is sent while all are as healthy as they say."""

    address: str
    share: float  # per cent
    priority: int = 0
    weight: int = 1
    locality: str = ""
    locality_weight: int = 0
    cluster: str = ""
    workload: str = ""  # namespace/name
    network: str = ""  # of which it is a gateway, not an endpoint
    health: str = "healthy"
    tls: Tls = Tls()

    @property
    def serves(self) -> bool:
        """Whether calls come here and are answered: where nobody is well, also the lost are asked."""
        return self.share > 0 and self.health != "unhealthy"


class HeaderChange(msgspec.Struct, frozen=True, kw_only=True):
    """One header that is removed, set or added."""

    name: str  # in lower case
    value: str = ""  # a format string of Envoy's
    does: str  # remove, set, add, set where present, add where absent

    def __str__(self) -> str:
        return f"{self.does} {self.name}" + (f": {self.value}" if self.value else "")


class UpstreamShare(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream that may be chosen, with its share of the calls."""

    name: str
    share: float  # per cent
    exists: bool = True
    kind: str = ""  # how its endpoints are found: EDS, STRICT_DNS, ORIGINAL_DST, STATIC
    balancing: str = ""
    speech: str = ""  # what is spoken to it
    host: str = ""  # what the request says then
    path: str = ""
    headers: tuple[tuple[str, str], ...] | None = None  # of the request then; None: as the caller says them
    answers: tuple[HeaderChange, ...] = ()  # what is done to the answers' headers for this share alone
    config: str = ""  # the DestinationRule that shapes it: namespace/name
    outlier: str = ""
    is_automatic: bool = False  # whether each endpoint is spoken to with mutual TLS if it has a sidecar
    limits: tuple[str, ...] = ()  # of connections and requests, in words
    connect_timeout_s: float = 0.0
    endpoints: tuple[EndpointShare, ...] = ()


class NearMiss(msgspec.Struct, frozen=True, kw_only=True):
    """A route before the chosen one that did not take the request: the first condition that failed."""

    index: int  # in its virtual host
    name: str
    config: str  # the VirtualService it is of: namespace/name
    condition: str
    found: str
    lacks: int = 1  # how many of its conditions failed


class RouteStep(msgspec.Struct, frozen=True, kw_only=True):
    """The route that takes a request."""

    routes: str  # name of the route configuration
    virtual_host: str
    domain: str  # by which the virtual host was found
    index: int
    name: str
    config: str
    conditions: tuple[str, ...] = ()


class Forward(msgspec.Struct, frozen=True, kw_only=True, tag="forward", tag_field="action"):
    """Sent on to one of these upstreams."""

    upstreams: tuple[UpstreamShare, ...]
    timeout_s: float = 0.0  # 0: none
    retries: int = 0
    retry_on: str = ""
    mirrors: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    tunnel: str = ""  # how the upstream, an HTTP proxy, is asked to pass the bytes on


class Redirect(msgspec.Struct, frozen=True, kw_only=True, tag="redirect", tag_field="action"):
    """The caller is told to ask elsewhere."""

    status: int
    location: str
    why: str = ""  # where no rule says so


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer", tag_field="action"):
    """Envoy answers by itself."""

    status: int
    why: str = ""


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed", tag_field="action"):
    """The connection goes nowhere."""

    why: str


Action = Forward | Redirect | Answer | Closed


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that may happen to the call, with its probability."""

    share: float  # per cent
    route: RouteStep | None
    action: Action
    answers: tuple[HeaderChange, ...] = ()  # what is done to the headers of answers, after what shares do


class Says(Enum):
    """What a filter that guards a chain says of a call."""

    PASSES = "passes"
    REFUSES = "refuses"
    REFUSES_IN_TRIAL = "would refuse"  # were its rules not only tried
    ASKS = "asks"  # somebody else, whose answer decides
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one filter says of a call, and by which of its policies."""

    filter: str
    says: Says
    status: int = 0  # with which it refuses; 0: it does not, or there is no HTTP
    action: str = ""  # of an RBAC filter: ALLOW, DENY, LOG
    policy: str = ""  # Envoy's name of the policy that matched; empty: none did
    among: tuple[str, ...] = ()  # the names of all that it has
    is_tried: bool = (
        False  # whether it decides nothing: a dry run, or a question whether somebody is to be asked
    )
    why: str = ""


class ListenerStep(msgspec.Struct, frozen=True, kw_only=True):
    """The listener and filter chain that take the connection, and what they could tell of it."""

    listener: str
    chain: str  # its name, or what it matches
    why: str  # how the listener was found
    seen: str  # what listener filters found out
    tls: Tls = Tls()  # that ends here
    filters: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()  # where calls are written down
    tracing: str = ""  # of how many calls traces are sent, and to whom


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What one Envoy does with a call."""

    call: Call
    listener: ListenerStep | None
    branches: tuple[Branch, ...]
    near_misses: tuple[NearMiss, ...] = ()
    later: tuple[RouteStep, ...] = ()  # routes that ask for anything, and would take it had none before
    unexamined: tuple[str, ...] = ()  # filters on the way that may yet decide otherwise
    verdicts: tuple[Verdict, ...] = ()  # of the filters that guard the way, in their order

    @property
    def forwards(self) -> tuple[tuple[float, UpstreamShare], ...]:
        """All upstreams that may be chosen, with their share of all calls in per cent."""
        return tuple(
            (branch.share * one.share / 100, one)
            for branch in self.branches
            if isinstance(branch.action, Forward)
            for one in branch.action.upstreams
        )
