"""One real Envoy on loopback with a static configuration, and an application that says what it is asked."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.running_envoy import running

from fakes.serving import serving
from isthmus.envoy.types import Bootstrap


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        path = self.requestline.split()[1]  # self.path is no longer what was sent: `//` becomes `/`
        self.send_response(200)
        self.send_header("content-length", "0")
        self.send_header("x-asked", json.dumps({"host": self.headers["host"], "path": path}))
        self.end_headers()

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_):
        pass


@contextmanager
def echo():
    """The port of an application that says in the header `x-asked` what it was asked, as JSON."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Echo)) as server:
        yield server.server_address[1]


@contextmanager
def running_envoy(folder, listeners, upstreams):
    """A running Envoy with these listeners and upstreams; ends with the context. Yields its admin's port."""
    bootstrap = Bootstrap()
    bootstrap.static_resources.listeners.extend(listeners)
    bootstrap.static_resources.clusters.extend(upstreams)
    with running(folder, bootstrap, "explained") as admin:
        yield int(admin.rpartition(":")[2])
