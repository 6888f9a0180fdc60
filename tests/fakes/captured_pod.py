"""A pod in network namespaces of its own: a real Envoy as Pilot tells it, capture by nft, an application, a caller.

Run as a program of its own, which makes a network namespace for each wish: `python -m fakes.captured_pod FOLDER`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import msgspec
from benchmarks.running_envoy import running

from isthmus.envoy.types import Bootstrap
from isthmus.lab.syscalls import CLONE_NEWNET, unshare
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.sidecar import nft
from isthmus.sidecar.capture import CaptureSettings
from isthmus.translate.names import (
    INBOUND_PASSTHROUGH,
    PASSTHROUGH,
    VIRTUAL_INBOUND,
    VIRTUAL_OUTBOUND,
    inbound,
)
from isthmus.translate.offline import read_case
from isthmus.translate.trace.held import made_for
from isthmus.translate.upstream_policy import mark

HTTP, BYTES = 8080, 9000
"""Ports of the application: one that a Service names, and one that none does."""
CASE = """
kind: Cluster
metadata: {{name: c}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{clusterIP: "{service}", selector: {{app: web}}, ports: [{{port: 8080, name: http}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: default, labels: {{app: web}}}}
spec: {{containers: [{{name: web, image: web}}]}}
status: {{podIP: "{pod}", phase: Running, podIPs: [{{ip: "{pod}"}}]}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-system}}
spec: {{mtls: {{mode: DISABLE}}}}
"""
ASK = """
import socket, sys
made = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
made.sendall(b"GET / HTTP/1.1\\r\\nhost: web\\r\\n\\r\\n")
print(made.recv(4096).decode().splitlines()[-1])
"""
ANSWER = """
import socket, sys
with socket.create_server(("", 7000), family=getattr(socket, sys.argv[1])) as server:
    print("ready", flush=True)
    while True:
        made, (address, *_) = server.accept()
        made.recv(4096)
        made.sendall(address.encode())
        made.close()
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Elsewhere:
    """A host at the other end of one of the pod's links."""

    def __init__(self, pod, address, link="up0"):
        self.pod, self.address = pod, address
        self._process = subprocess.Popen(["unshare", "-n", "sleep", "300"])
        self._inside = ("nsenter", "-t", str(self._process.pid), "-n")
        while Path(f"/proc/{self._process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            pass
        version, length = ("-6", "64") if ":" in pod else ("-4", "24")
        more = ["nodad"] if ":" in pod else []
        far = ("far0", "netns", str(self._process.pid))
        run("ip", "link", "add", link, "type", "veth", "peer", "name", *far)
        for inside, own, end in (((), pod, link), (self._inside, address, "far0")):
            run(*inside, "ip", "link", "set", "lo", "up")
            run(*inside, "ip", "addr", "add", f"{own}/{length}", "dev", end, *more)
            run(*inside, "ip", "link", "set", end, "up")
        run(*self._inside, "ip", version, "route", "add", "default", "via", pod)

    def asks(self, port, host=""):
        """What is said to it there, by the pod's application or by `host`: the address that it was called from."""
        found = subprocess.run(
            [*self._inside, sys.executable, "-c", ASK, host or self.pod, str(port)],
            check=False, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        return found.stdout.strip() or found.stderr.strip().splitlines()[-1].partition(":")[0]

    @contextmanager
    def answering(self):
        """Port 7000 there says who calls."""
        family = "AF_INET6" if ":" in self.address else "AF_INET"
        command = [*self._inside, sys.executable, "-c", ANSWER, family]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            server.stdout.readline()
            yield
            server.kill()

    def end(self):
        self._process.kill()
        self._process.wait()


def application(port, family):
    """Answers each call, in HTTP where it is spoken, with the address that it came from."""
    server = socket.create_server(("::" if family == socket.AF_INET6 else "", port), family=family)

    def answer():
        while True:
            made, (address, *_) = server.accept()
            made.recv(4096)
            body = address.encode()
            if port == HTTP:
                body = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            made.sendall(body)
            made.close()

    Thread(target=answer, daemon=True).start()


def bootstrap(pod, mode):
    """What Envoy takes of what it is told, of the traffic that comes in."""
    service = "fd00:1::1" if ":" in pod else "10.96.0.1"
    case = read_case(CASE.format(pod=pod, service=service))
    proxy = Proxy(
        kind=ProxyKind.SIDECAR, address=pod, name="web", namespace="default", cluster="c",
        labels=(("app", "web"),), metadata=(("INTERCEPTION_MODE", mode),),
    )  # fmt: skip
    held, made = made_for(case.generation(), proxy), Bootstrap()
    made.cluster_manager.upstream_bind_config.socket_options.append(mark())
    for name in (VIRTUAL_INBOUND, VIRTUAL_OUTBOUND):
        made.static_resources.listeners.append(held.listeners[name])
    for name in (inbound(HTTP), INBOUND_PASSTHROUGH, PASSTHROUGH, "BlackHoleCluster"):
        made.static_resources.clusters.append(held.upstreams[name])
    return made


def called(host, port, mark=0):
    """What is said by who is called from within the pod."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as made:
        if mark:
            made.setsockopt(socket.SOL_SOCKET, 36, mark)
        made.settimeout(5)
        made.connect((host, port))
        made.sendall(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
        return made.recv(4096).decode().splitlines()[-1]


def observed(folder, pod, other, settings):
    """What callers from elsewhere and the pod itself are told, with and without Envoy, in a namespace of its own.

    `machine` is a host behind the link `k6t0`, `elsewhere` one behind `up0`.
    """
    unshare(CLONE_NEWNET)
    beside = ("fd00:98::1", "fd00:98::2") if ":" in pod else ("10.98.0.1", "10.98.0.2")
    elsewhere, machine, found = Elsewhere(pod, other), Elsewhere(*beside, "k6t0"), {}
    mode = "TPROXY" if settings.keeps_source else "REDIRECT"
    try:
        family = socket.AF_INET6 if ":" in pod else socket.AF_INET
        for port in (HTTP, BYTES, 15020):
            application(port, family)
        for _ in range(2):  # an init container may be run again
            asyncio.run(nft.apply(settings))
        found["before"] = elsewhere.asks(BYTES)
        with running(folder, bootstrap(pod, mode)):
            found |= {str(port): elsewhere.asks(port) for port in (HTTP, BYTES, 15020)}
            found["itself"] = called(pod, BYTES, mark=1337)
            with elsewhere.answering():
                found["out"] = called(other, 7000, mark=1337)
                if settings.virtual_interfaces:
                    found["machine"] = machine.asks(7000, other)
        asyncio.run(nft.clean())
        found["clean"] = elsewhere.asks(BYTES)
        found["rules"] = run("ip", "-6" if ":" in pod else "-4", "rule").count("133")
    finally:
        elsewhere.end()
        machine.end()
    return found


if __name__ == "__main__":
    for place, each in msgspec.json.decode(sys.stdin.read(), type=list[tuple[list[str], CaptureSettings]]):
        sys.stdout.write(json.dumps(observed(Path(sys.argv[1]), *place, each)) + "\n")
