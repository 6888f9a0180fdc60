"""Services that are asked whether calls may pass, in Envoy's ext_authz by gRPC and by HTTP; they note what they see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

from fakes.serving import serving

# Source: Envoy's CheckResponse: field 1 is `status`, of which field 1 is the code; 7 is PERMISSION_DENIED.
_YES, _NO = b"\x0a\x00", b"\x0a\x02\x08\x07"


@contextmanager
def by_grpc(asked, always=None):
    """The port of a service that lets pass what says `pass` anywhere, or all and nothing where `always` says so.

    What it is asked is put into `asked`.
    """

    def check(request, _):
        asked.append(request)
        return _YES if (b"pass" in request if always is None else always) else _NO

    handler = grpc.unary_unary_rpc_method_handler(check)
    server = grpc.server(ThreadPoolExecutor(2))
    service = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@contextmanager
def by_http(asked, always=None, headers=(("x-user", "alice"), ("x-reason", "because"))):
    """The same over HTTP; it answers with `headers`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            passes = "pass" in self.path if always is None else always
            self.send_response(200 if passes else 401)
            for name, value in (*headers, ("content-length", "0")):
                self.send_header(name, value)
            self.end_headers()

        def __getattr__(self, name):
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, *_):
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_address[1]
