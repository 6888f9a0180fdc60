"""What the filters of a chain can know of a call when they decide over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from isthmus.envoy.types import HttpConnectionManager, ListStringMatcher
from isthmus.translate.trace.call import Call, Request, Untraceable
from isthmus.translate.trace.steps import Tls
from isthmus.translate.trace.text_match import text_matches

Json = Any

_FORWARDED = "x-forwarded-for"


class Rewriter(NamedTuple):
    """Somebody who was asked about a request, and may have given headers of it other values."""

    name: str
    headers: ListStringMatcher | None = None  # which; None: any

    def may_change(self, header: str) -> bool:
        """Whether that header may be another now. Where the request goes, and how, is taken as its caller says it."""
        if header.startswith(":"):
            return False
        return self.headers is None or any(text_matches(each, header) for each in self.headers.patterns)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it stands before a filter: the connection, who proved to be at its other end, and the request."""

    address: str  # that was called
    port: int
    direct: str = ""  # whoever stands at the other end of the connection; empty: not known
    source: str = ""  # whoever the connection is of, by a PROXY protocol line where there is one
    remote: str = ""  # whoever the request is of first of all, by what proxies before this one say
    sni: str = ""
    is_tls: bool = False  # whether TLS ends here
    uris: tuple[str, ...] = ()  # of the caller's certificate
    names: tuple[str, ...] = ()  # DNS names of it
    request: Request | None = None
    protocol: str = ""
    metadata: Mapping[str, Json] = {}  # that filters left for those after them, by filter
    rewriters: tuple[Rewriter, ...] = ()  # whose answers are not known here

    @property
    def principals(self) -> tuple[str, ...]:
        """The names of the caller's certificate in the order in which Envoy looks at them.

        The last is its subject, which is empty where identities are in URIs, and where there is no certificate.
        """
        return (*self.uris, *self.names, "")

    def header(self, name: str) -> str | None:
        """What the request says there, if anything. Raises `Untraceable` where somebody may have changed it."""
        self.must_know(name)
        return self.request.value(name) if self.request is not None else None

    def must_know(self, *names: str) -> None:
        """Raises `Untraceable` where one of these headers may not be as the caller has sent it."""
        for name in names:
            for each in self.rewriters:
                if each.may_change(name.lower()):
                    raise Untraceable(f"{each.name} may give the header {name} another value")

    def with_metadata(self, name: str, found: Mapping[str, Json]) -> Facts:
        """The same with what the filter called `name` has found out."""
        own = {**self.metadata.get(name, {}), **found}
        return msgspec.structs.replace(self, metadata={**self.metadata, name: own})


def facts_of(call: Call, tls: Tls, *, is_told: bool = False) -> Facts:
    """What is known of a connection where `tls` ends. `is_told`: a line of the PROXY protocol says of whom it is."""
    ends = tls.mode != "plain"
    shown = call.hello if ends and call.hello is not None and (tls.mode == "mutual" or tls.asks) else None
    return Facts(
        address=call.address,
        port=call.port,
        direct="" if is_told else call.source,
        source=call.source,
        remote=call.source,
        sni=call.hello.sni.lower() if call.hello is not None else "",
        is_tls=ends,
        uris=(shown.identity,) if shown is not None and shown.identity else (),
        names=shown.names if shown is not None else (),
        protocol=call.speech.value,
    )


def with_request(facts: Facts, manager: HttpConnectionManager, request: Request, protocol: str) -> Facts:
    """The same with the request on it, and with whom the connection manager takes for its first sender."""
    remote = _first_sender(manager, request, facts.source)
    return msgspec.structs.replace(facts, request=request, remote=remote, protocol=protocol)


def _first_sender(manager: HttpConnectionManager, request: Request, source: str) -> str:
    """Source: Envoy's "x-forwarded-for" reference, `use_remote_address` and `xff_num_trusted_hops`."""
    if manager.original_ip_detection_extensions:
        raise Untraceable("who sent a request is told by an extension, which the trace does not know")
    hops = manager.xff_num_trusted_hops
    if manager.use_remote_address.value:
        if hops == 0:
            return source
        hops -= 1
    said = (request.value(_FORWARDED) or "").split(",")
    told = said[-1 - hops].strip() if hops < len(said) else ""
    return told if _is_address(told) else source


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def headers_of(request: Request) -> Iterator[tuple[str, str]]:
    """All headers that a request has before the first filter as far as they are known, names in lower case."""
    yield from ((":method", request.method), (":authority", request.host), (":path", request.path))
    for name in dict.fromkeys(key.lower() for key, _ in request.headers):
        yield name, request.value(name) or ""


WRITTEN_BY_ENVOY = frozenset(
    {":scheme", "x-request-id", "x-forwarded-client-cert", "x-forwarded-proto", "x-envoy-external-address"}
)
"""Headers that Envoy itself writes over what a caller says."""
