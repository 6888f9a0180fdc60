"""Answers HTTP and datagrams of both families at one port each, saying which pod it is and who asked."""

from __future__ import annotations

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POD = os.environ.get("HOSTNAME", "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        said = {
            "pod": POD,
            "peer": self.headers.get("x-forwarded-client-cert", ""),
            "at": self.connection.getsockname()[0].removeprefix("::ffff:"),
        }
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def echo():
    near = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    near.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    near.bind(("::", 7000))
    while True:
        data, asker = near.recvfrom(65535)
        near.sendto(POD.encode() + b":" + data, asker)


threading.Thread(target=echo, daemon=True).start()
Server(("::", 8080), Handler).serve_forever()
