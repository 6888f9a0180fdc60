"""Questions of istioctl over xDS: a stream that asks for a type of Istio's own, and is told, and not configured.

They are put where no proof of identity is asked for, so they are answered over loopback only, as debug pages are
(ADR 0029): Kubernetes' port-forward comes out there, and asks who may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

import msgspec

from isthmus.debug import client_status, envoy_dump
from isthmus.debug.pages import IstioPages
from isthmus.debug.streams import by_proxy, named
from isthmus.envoy.types import Any, DiscoveryResponse
from isthmus.kit.release import RELEASE
from isthmus.model.proxy import Proxy
from isthmus.wire.stream import Code, Refused, Stream
from isthmus.xds.fanout import Fanout
from isthmus.xds.request import InvalidRequest, Reader, Request

DEBUG = "istio.io/debug"
"""The type of what the pages of `/debug` say, as JSON, by names of resources.

`istio.io/debug/syncz` and `istio.io/debug/config_dump` are the types of these two as Envoy's messages.
"""
CONNECTIONS = "istio.io/connections"
"""The type of the nodes that are connected."""
_STRING = "type.googleapis.com/google.protobuf.StringValue"


class Questions:
    """Answers who asks for `istio.io/…`. `name` is that of this Pilot; `for_all`: whoever asks is answered."""

    def __init__(self, pages: IstioPages, fanout: Fanout[Proxy], name: str, *, for_all: bool) -> None:
        self._pages, self._fanout, self._name, self._for_all = pages.pages(), fanout, name, for_all

    def concern(self, type_url: str) -> bool:
        """Whether it is such a question."""
        return type_url.startswith("istio.io/")

    async def attend(self, stream: Stream, first: Request, reader: Reader) -> None:
        """Answer until nobody asks any more. Raises `Refused`."""
        if not (self._for_all or stream.peer.is_from_within):
            raise Refused(
                Code.PERMISSION_DENIED,
                "this is told over loopback only (hint: kubectl port-forward, or istioctl, which does it)",
            )
        request: Request | None = first
        count = 0
        while request is not None:
            # istioctl makes up a nonce for its first request: only ours says that an answer was read.
            if request.nonce != str(count) or not count:
                count += 1
                await stream.send(self._answer(request, str(count)).SerializeToString())
            message = await stream.receive()
            try:
                request = None if message is None else reader.read(message)
            except InvalidRequest as error:
                raise Refused(Code.INVALID_ARGUMENT, str(error)) from error

    def _answer(self, request: Request, nonce: str) -> DiscoveryResponse:
        said = DiscoveryResponse(type_url=request.type_url, version_info=RELEASE, nonce=nonce)
        said.control_plane.identifier = msgspec.json.encode(
            {"Component": "istiod", "ID": self._name, "Info": {"version": RELEASE}}
        ).decode()
        try:
            said.resources.extend(self._resources(request))
        except LookupError as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error.args[0])) from error
        return said

    def _resources(self, request: Request) -> Iterable[Any]:
        if request.type_url == CONNECTIONS:
            return self._statuses()
        page, query = _question(request)
        if request.type_url != DEBUG and page in {"syncz", "config_dump"}:
            return self._statuses() if page == "syncz" else self._dump(query["proxyID"])
        shown = self._pages.get(f"/debug/{page}")
        if shown is None:
            known = ", ".join(path.removeprefix("/debug/") for path in self._pages)
            raise LookupError(f"there is no page {page!r} (hint: there are {known})")
        return [_any("", msgspec.json.encode(shown(query)))]

    def _dump(self, proxy: str) -> Iterator[Any]:
        for each in envoy_dump.dumps(self._fanout, named(self._fanout, proxy)):
            yield _any(f"type.googleapis.com/{each.DESCRIPTOR.full_name}", each.SerializeToString())

    def _statuses(self) -> Iterator[Any]:
        for sessions in by_proxy(self._fanout).values():
            yield _any(client_status.TYPE_URL, client_status.client_config(sessions, self._name))


def _question(request: Request) -> tuple[str, dict[str, str]]:
    """The page and its query: `istio.io/debug` with `config_dump?proxyID=P`, or `istio.io/debug/config_dump` with P."""
    name = next(iter(request.subscribe), "")
    page = request.type_url.removeprefix(DEBUG).strip("/")
    if page:
        return page, {"proxyID": name}
    page, _, rest = name.partition("?")
    return page, {key: values[0] for key, values in parse_qs(rest).items()}


def _any(type_url: str, value: bytes) -> Any:
    return Any(type_url=type_url, value=value)
