"""The API server whose objects both control planes follow: upstream's own, as tools/apiserver builds it.

Nothing but an API server and its store: no controllers, no nodes. What is written is told to who watches.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

from benchmarks.istiod.processes import Program, free_ports

from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.stock import options
from isthmus.lab.stock.programs import stock_programs
from isthmus.settings import environment

Json = dict[str, Any]
_WRITERS = 8
_TRIES = 5
_AGAIN = {429, 500, 503}
_SETTLE_S, _SETTLE_LIMIT_S, _IDLE = 1.0, 60.0, 0.1


class ApiServer:
    """A cluster's API server, empty at first. A context: it ends with it."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `NoPrograms` where it was not built."""
        self._folder, self._programs = folder, stock_programs(environment())
        folder.mkdir(parents=True)
        self._credentials = ClusterCredentials(name, ["127.0.0.1"], time.time())
        api, store, peers = free_ports(3)
        self._ports = options.Ports(api, store, peers)
        self._running: list[Program] = []
        self._local = local()
        self._trust = ssl.create_default_context(cadata=self._credentials.ca.decode())
        self.kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> ApiServer:
        options.write_files(self._folder, self._credentials, self._ports)
        self._run(options.command(self._programs / "etcd", options.etcd_options(self._ports)))
        told = options.apiserver_options(self._ports, ["10.96.0.0/12"]) | {
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "disable-admission-plugins": "TaintNodesByCondition,ServiceAccount",
        }
        self._run(options.command(self._programs / "kube-apiserver", told))
        self._running[-1].until(self._is_ready)
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._running):
            each.stop()

    @property
    def kubeconfig_text(self) -> str:
        """For whoever is to reach it."""
        return self.kubeconfig.read_text()

    def pause(self, *, paused: bool) -> None:
        """Do not answer, or answer again."""
        self._running[-1].pause(paused=paused)

    def settle(self) -> None:
        """Wait until it has little to do: new definitions keep it busy for seconds."""
        before, ends = self._cpu_s(), time.monotonic() + _SETTLE_LIMIT_S
        while time.monotonic() < ends:
            time.sleep(_SETTLE_S)
            now = self._cpu_s()
            if now - before < _SETTLE_S * _IDLE:
                return
            before = now

    def _cpu_s(self) -> float:
        return self._running[-1].cost().cpu_s

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Json:
        """The answer. Raises `RuntimeError` for what it refuses."""
        status, answer = self._answered(method, path, body, kind)
        if status >= 400 and not (method == "DELETE" and status == 404):
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer

    def put(self, path: str, name: str, obj: Json) -> None:
        """Create it in the collection at `path`, or make the one that is there be so."""
        status, answer = self._answered("POST", path, obj, "application/json")
        if status == 409:
            self.ask("PATCH", f"{path}/{name}", obj, "application/merge-patch+json")
        elif status >= 400:
            raise RuntimeError(f"POST {path}/{name}: {status} {answer}")

    def _answered(self, method: str, path: str, body: object, kind: str) -> tuple[int, Json]:
        """What it says at last: it may be busy, and closes connections that rest."""
        for _ in range(_TRIES):
            try:
                found = self._send(method, path, body, kind)
            except (OSError, http.client.HTTPException):
                self._local.connection = None
                continue
            if found[0] not in _AGAIN:
                return found
            time.sleep(0.2)
        return self._send(method, path, body, kind)

    def all(self, jobs: list[Callable[[], object]]) -> None:
        """Do these, several at once."""
        with ThreadPoolExecutor(_WRITERS) as pool:
            for done in [pool.submit(job) for job in jobs]:
                done.result()

    def _run(self, words: list[str]) -> None:
        self._running.append(Program(words, self._folder / f"{len(self._running)}.log"))

    def _is_ready(self) -> bool:
        try:
            return self._send("GET", "/readyz", None, "")[0] == 200
        except (OSError, http.client.HTTPException, ValueError):
            self._local.connection = None
            return False

    def _send(self, method: str, path: str, body: object, kind: str) -> tuple[int, Json]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self._ports.api, context=self._trust, timeout=30
            )
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = connection
        headers = {"Authorization": f"Bearer {self._credentials.admin_token}", "Content-Type": kind}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if said.startswith(b"{") else {"text": said.decode()}
