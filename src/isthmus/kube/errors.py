"""What can go wrong between us and an API server.

KubeError
├── InvalidKubeconfig   the kubeconfig cannot be used: says where and how to mend it
├── Unreachable         no answer: network, TLS, time-out
│   └── Silent          an answer that began, and then no byte for too long
└── Refused             an answer that says no: `code`, `reason`
    ├── Unauthorized    401: who we are is not believed
    ├── Forbidden       403: we may not
    ├── NotFound        404
    ├── Conflict        409: somebody else was faster, or it exists already
    └── Gone            410, or 504 where it is ahead: the history we ask for is not the server's
"""

from __future__ import annotations

import msgspec

from isthmus.kit.unreadable import UNREADABLE


class KubeError(Exception):
    """Anything between us and one API server."""


class InvalidKubeconfig(KubeError):
    """The kubeconfig cannot be used: `path` says where in it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.message = path, message


class Unreachable(KubeError):
    """No answer from the API server."""


class Silent(Unreachable):
    """The answer began, and then came nothing."""


class Refused(KubeError):
    """The API server answered no."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message or reason or f"HTTP {code}")
        self.code, self.reason = code, reason


class Unauthorized(Refused):
    pass


class Forbidden(Refused):
    pass


class NotFound(Refused):
    pass


class Conflict(Refused):
    pass


class Gone(Refused):
    pass


_BY_CODE: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
}


_AHEAD = "Too large resource version"
"""How an API server tells of a version that it has not reached, as after a backup was put back."""


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


def refused(code: int, body: bytes) -> Refused:
    """The error for an answer of HTTP status `code`; `body` is a Kubernetes Status where we are lucky."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except UNREADABLE:
        status = _Status(message=body.decode(errors="replace")[:200])
    code = status.code or code
    if code == 504 and status.message.startswith(_AHEAD):
        return Gone(code, status.reason, status.message)
    return _BY_CODE.get(code, Refused)(code, status.reason, status.message)
