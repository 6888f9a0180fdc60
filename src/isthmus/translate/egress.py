"""What a Sidecar says of calls out: at which places they are made, and where those go to whom nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.api.istio.sidecar import IstioEgressListener, Sidecar
from isthmus.model.protocol import protocol_named
from isthmus.model.scope import View
from isthmus.model.service import Protocol
from isthmus.translate import names

_UNIX = "unix://"


@dataclass(frozen=True, slots=True, eq=False)
class Called:
    """Where a part of a Sidecar's egress is called by the application."""

    path: str  # in the Sidecar
    listener: IstioEgressListener
    number: int

    @property
    def bind(self) -> str:
        return self.listener.bind or "127.0.0.1"

    @property
    def is_path(self) -> bool:
        return self.bind.startswith(_UNIX)

    @property
    def name(self) -> str:
        return names.listener(self.bind, self.number)

    @property
    def routes(self) -> str:
        """The name of its route configuration: a path has one of its own, an address that of the port."""
        return self.bind if self.is_path else str(self.number)

    @property
    def protocol(self) -> Protocol:
        return protocol_named(self.listener.port.protocol if self.listener.port else "", self.number)


def called(sidecar: Sidecar | None) -> Iterator[Called]:
    """The places at which the egress of a Sidecar is called that are not those of the services."""
    for index, each in enumerate(sidecar.spec.egress if sidecar is not None else ()):
        if each.bind or each.capture_mode == "NONE":
            yield Called(f"egress[{index}]", each, each.port.number if each.port else 0)


def unknown_upstream(view: View) -> str:
    """Where calls go to whom nobody knows."""
    proxy = view.egress_proxy
    if proxy is not None:
        return names.outbound(proxy.port.number if proxy.port else 0, proxy.subset, proxy.host)
    return names.PASSTHROUGH if view.allows_unknown else names.BLACK_HOLE
