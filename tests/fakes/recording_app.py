"""The applications behind many endpoints, on loopback: each call that reaches one is kept, with where it arrived."""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import NamedTuple

from fakes.spoken_tls import Spoken, unwrapped

CALL, FAIL, WAIT = "x-call", "x-fail", "x-wait"
"""Headers of requests: which call it is of, how often it is answered with 503 first, and after how many seconds."""
RECEIPT, PLACE = "x-receipt", "x-place"
"""Headers of answers: which of the call's receipts it answers, and where that was."""

ANSWERED = (("x-a", "answered"), ("x-b", "answered"))
"""Headers of all answers."""


class Receipt(NamedTuple):
    """A request as it arrived."""

    place: int
    method: str
    host: str
    path: str
    headers: tuple[tuple[str, str], ...]
    spoken: Spoken = Spoken()

    @property
    def is_mirrored(self):
        return self.host.split(":")[0].endswith("-shadow")


class Applications:
    """Each place is a socket with an address of its own; they are made as they are asked for."""

    def __init__(self):
        self.receipts = defaultdict(list)  # by call
        self._sockets, self._ready = [], selectors.DefaultSelector()
        self._lock, self._ended = threading.Lock(), False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def address(self, place):
        """Where the application at `place` listens."""
        while len(self._sockets) <= place:
            number = len(self._sockets) + 256
            made = socket.create_server((f"127.77.{number // 256}.{number % 256}", 0), backlog=64)
            self._ready.register(made, selectors.EVENT_READ, len(self._sockets))
            self._sockets.append(made)
        return self._sockets[place].getsockname()

    def _accept(self):
        while not self._ended:
            if not self._ready.get_map():
                time.sleep(0.01)
                continue
            for key, _ in self._ready.select(0.05):
                connected, _ = key.fileobj.accept()
                threading.Thread(target=self._serve, args=(connected, key.data), daemon=True).start()

    def _serve(self, connected, place):
        with connected:
            try:
                inside, spoken = unwrapped(connected)
                with inside, inside.makefile("rb") as reader:
                    self._speak(inside, reader, place, spoken)
            except OSError:
                pass  # the proxy has ended, or waits no more

    def _speak(self, connected, reader, place, spoken):
        if not reader.peek(1)[:1].isalpha():  # no method of HTTP
            connected.sendall(f"place {place} {spoken}\n".encode())
            connected.shutdown(socket.SHUT_WR)
            reader.read()  # who closes on what it has not read resets, and its answer may be lost
            return
        while self._answer(connected, reader, place, spoken):
            pass

    def _answer(self, connected, reader, place, spoken):
        first = reader.readline().decode("latin-1").split()
        if len(first) != 3:
            return False
        method, path, _ = first
        headers = []
        while line := reader.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers.append((name.strip().lower(), value.strip()))
        said = dict(headers)
        receipt = Receipt(place, method, said.get("host", ""), path, tuple(headers), spoken)
        with self._lock:
            own = self.receipts[said.get(CALL, "")]
            own.append(receipt)
            number = len(own) - 1
            tries = sum(not each.is_mirrored for each in own)
        if not receipt.is_mirrored:
            time.sleep(float(said.get(WAIT, "0")))
        status = "503 Not yet" if tries <= int(said.get(FAIL, "0")) else "200 OK"
        lines = [f"HTTP/1.1 {status}", f"{RECEIPT}: {number}", f"{PLACE}: {place}"]
        lines += [*(f"{name}: {value}" for name, value in ANSWERED), "content-length: 0", "", ""]
        connected.sendall("\r\n".join(lines).encode())
        return True

    @contextmanager
    def running(self):
        self._thread.start()
        try:
            yield self
        finally:
            self._ended = True
            self._thread.join()
            for each in self._sockets:
                each.close()
            self._ready.close()


calls = map(str, itertools.count(1))
"""Names of calls."""
