"""Providers of CUSTOM policies that answer, each always in the same manner; and what is to be expected of them.

Some say yes, some no; one says yes and changes a header; some are not there, and some never answer.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from drawn.worlds import mesh_config, service
from fakes.authorizers import by_grpc, by_http
from fakes.guarded_envoy import upstream
from fakes.ports import free_ports

CHANGED = ("x-a", "one")
"""The header that one of them changes."""
HOST = "judge.default.svc.cluster.local"


class Judge(NamedTuple):
    """How it is asked, what it does, and what is said of it where it cannot be asked."""

    port: int
    over: str  # grpc, http
    does: str  # yes, no, gone, silent
    fails: dict = {}
    changes: bool = False

    @property
    def upstream(self):
        return f"outbound|{self.port}||{HOST}"

    @property
    def lets_in(self):
        return self.does == "yes" or (self.does != "no" and bool(self.fails.get("failOpen")))

    @property
    def status(self):
        """With which a request is refused."""
        if self.does == "no":
            return 401 if self.over == "http" else 403
        return int(self.fails.get("statusOnError", 403))

    @property
    def written(self):
        """As `extensionProviders` has it."""
        kind = "envoyExtAuthzHttp" if self.over == "http" else "envoyExtAuthzGrpc"
        # It may take long where it answers: the machine may be busy.
        timeout = "0.05s" if self.does == "silent" else "20s"
        more = {"headersToUpstreamOnAllow": [CHANGED[0]]} if self.changes else {}
        return {kind: {"service": HOST, "port": self.port, "timeout": timeout, **self.fails, **more}}


_OPEN, _STATUS = {"failOpen": True}, {"statusOnError": "503"}
JUDGES = {
    "grpc-yes": Judge(9001, "grpc", "yes"),
    "grpc-no": Judge(9002, "grpc", "no", _OPEN),
    "grpc-gone": Judge(9003, "grpc", "gone", _STATUS),
    "grpc-gone-open": Judge(9004, "grpc", "gone", _OPEN),
    "grpc-silent": Judge(9005, "grpc", "silent"),
    "grpc-silent-open": Judge(9006, "grpc", "silent", _OPEN),
    "http-yes": Judge(9007, "http", "yes"),
    "http-no": Judge(9008, "http", "no", _OPEN | _STATUS),
    "http-changes": Judge(9009, "http", "yes", changes=True),
    "http-gone": Judge(9010, "http", "gone", _STATUS),
    "http-silent-open": Judge(9011, "http", "silent", _OPEN),
}
BY_UPSTREAM = {each.upstream: each for each in JUDGES.values()}
SERVED = [
    service("judge", ports=[("", each.port) for each in JUDGES.values()], address="10.1.0.9"),
    mesh_config(extensionProviders=[{"name": name, **each.written} for name, each in JUDGES.items()]),
]


@contextmanager
def sitting():
    """The upstreams by which they are asked, on loopback."""
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        (gone,) = free_ports(1)
        ports = {("grpc", "gone"): gone, ("http", "gone"): gone}
        ports |= dict.fromkeys((("grpc", "silent"), ("http", "silent")), silent.getsockname()[1])
        for said in ("yes", "no"):
            ports["grpc", said] = stack.enter_context(by_grpc([], always=said == "yes"))
            ports["http", said] = stack.enter_context(by_http([], always=said == "yes", headers=(CHANGED,)))
        yield [
            upstream(each.upstream, ports[each.over, each.does], http2=each.over == "grpc")
            for each in JUDGES.values()
        ]
