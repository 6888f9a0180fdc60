"""Whether a request is one that Envoy takes, before it looks at anything else. Source: what Envoy 1.40 does.

Over HTTP/1.1 it answers what is none with 400. Over HTTP/2 it resets the stream for most of it.
"""

from __future__ import annotations

import re

from isthmus.translate.trace.call import METHODS, Call, Request, Speech
from isthmus.translate.trace.steps import Answer, Closed

_PORT = re.compile(r":[0-9]+$")
_NO_HOST = re.compile(r"""[^!$%&'()*+,\-.0-9:;=@A-Z\[\]_a-z~]""")
"""Signs that no host may have."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""Source: RFC 9110, 5.6.2."""


def malformed(call: Call, path: str | None) -> Answer | Closed | None:
    """What becomes of a request that is none, of which `path` is what routes would see; None: it is one."""
    request = call.request or Request()
    if call.speech is Speech.HTTP2:
        return _reset(request) or _answered(path)
    if request.method == "CONNECT" and not _PORT.search(request.host):
        return Answer(status=400, why="CONNECT names no port")
    if _NO_HOST.search(request.host):
        return Answer(status=400, why="the host has a sign that Envoy takes in none")
    if request.method not in METHODS:
        return Answer(status=400, why=f"Envoy knows no method {request.method}")
    return _answered(path)


def _answered(path: str | None) -> Answer | None:
    return Answer(status=400, why="the path is not one that Envoy takes") if path is None else None


def _reset(request: Request) -> Closed | None:
    """Why Envoy resets the stream of a request over HTTP/2."""
    if not _TOKEN.fullmatch(request.method):
        return Closed(why=f"the request is reset: {request.method!r} is no method")
    if not request.host or _NO_HOST.search(request.host):
        return Closed(why="the request is reset: the host has a sign that Envoy takes in none")
    if request.method == "CONNECT":
        return None
    is_all = request.path == "*" and request.method == "OPTIONS"
    if not is_all and (not request.path.startswith("/") or " " in request.path):
        return Closed(why="the request is reset: the path is not one that Envoy takes")
    return None
