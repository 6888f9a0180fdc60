"""One real Envoy on loopback with a static configuration, and an application that says what it is asked."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.running_envoy import running

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
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_envoy(folder, listeners, upstreams):
    """A running Envoy with these listeners and upstreams; ends with the context. Yields its admin's port."""
    bootstrap = Bootstrap()
    bootstrap.static_resources.listeners.extend(listeners)
    bootstrap.static_resources.clusters.extend(upstreams)
    with running(folder, bootstrap, "explained") as admin:
        yield int(admin.rpartition(":")[2])


class Answered:
    """An HTTP response: status, headers by lower-case name, and what the application was asked, if it was."""

    def __init__(self, status, headers):
        self.status, self.headers = status, headers
        self.asked = json.loads(headers["x-asked"]) if "x-asked" in headers else None


class Caller:
    """Sends requests exactly as they are given, one after the other on one connection."""

    def __init__(self, port):
        self._port, self._socket = port, None

    def send(self, method, path, headers):
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        body = "\r\n".join(lines).encode()
        for fresh in (False, True):
            try:
                return self._once(method, body, fresh=fresh or self._socket is None)
            except (ConnectionError, EOFError):
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _once(self, method, body, fresh):
        if fresh:
            self.close()
            connected = socket.create_connection(("127.0.0.1", self._port), timeout=20)
            self._socket = connected, connected.makefile("rb")
        connected, reader = self._socket
        connected.sendall(body)
        status = reader.readline()
        if not status:
            raise EOFError("closed")
        headers = {}
        while line := reader.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method != "HEAD":
            reader.read(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answered(int(status.split()[1]), headers)

    def close(self):
        if self._socket:
            for each in reversed(self._socket):
                each.close()
        self._socket = None
