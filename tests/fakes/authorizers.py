"""Services that are asked whether calls may pass, in Envoy's ext_authz by gRPC and by HTTP; they note what they see."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

# Source: Envoy's CheckResponse: field 1 is `status`, of which field 1 is the code; 7 is PERMISSION_DENIED.
_YES, _NO = b"\x0a\x00", b"\x0a\x02\x08\x07"


@contextmanager
def by_grpc(asked):
    """The port of a service that lets pass what says `pass` anywhere; what it is asked is put into `asked`."""

    def check(request, _):
        asked.append(request)
        return _YES if b"pass" in request else _NO

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
def by_http(asked):
    """The same over HTTP; it answers with the headers `x-user` and `x-reason`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200 if "pass" in self.path else 401)
            for name, value in (("x-user", "alice"), ("x-reason", "because"), ("content-length", "0")):
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
