"""What counts in place of a PeerAuthentication that is wrong, while no good one is known: no door opens by it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.istio.peer_authentication import MutualTls, PeerAuthentication

_STRICT = MutualTls(mode="STRICT")
_SELECTOR, _PORTS = "$.spec.selector", "$.spec.portLevelMtls"


def closed(found: PeerAuthentication, wrong: Sequence[Problem]) -> PeerAuthentication | None:
    """The same with STRICT for what is `wrong`: at the port that it is of, and where that is none at all of them.

    None: for whom it is cannot be told.
    """
    paths = [path for path, _ in wrong]
    if any(path.startswith(_SELECTOR) for path in paths):
        return None
    read = {port: _read(port, said, paths) for port, said in found.spec.port_level_mtls.items()}
    named = {port: said for port, said in read.items() if f"{_PORTS}[{port}]" not in paths}
    misnamed = [said for port, said in read.items() if port not in named]
    of_ports = tuple(start for port in read for start in (f"{_PORTS}[{port}]", f"{_PORTS}.{port}."))
    is_usual_wrong = any(path.startswith("$.spec") and not path.startswith(of_ports) for path in paths)
    usual = _STRICT if is_usual_wrong or _STRICT in misnamed else found.spec.mtls
    if _PORTS in paths:
        named = {}
    spec = msgspec.structs.replace(found.spec, mtls=usual, port_level_mtls=named)
    return msgspec.structs.replace(found, spec=spec)


def _read(port: str, said: MutualTls, paths: Sequence[str]) -> MutualTls:
    return _STRICT if any(path.startswith(f"{_PORTS}.{port}.") for path in paths) else said
