"""How long a datagram takes there and back, and how many go in a second: without Envoy, plain, and in tunnels.

Two real Envoys, of one thread each, and a server that echoes: all of it on one machine, whose cores they share.
"""

from __future__ import annotations

import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.datagram_envoys import Sidecars, echo

ALONE = 3_000
CALLERS, WAITING, SECONDS = 16, 4, 2.0
SIZES = (100, 1400)


def alone(client: socket.socket, payload: bytes) -> list[float]:
    """Microseconds that each of many datagrams took, one after the other."""
    took = []
    for _ in range(ALONE):
        began = time.perf_counter()
        client.send(payload)
        client.recv(65535)
        took.append((time.perf_counter() - began) * 1e6)
    return sorted(took)


def together(clients: list[socket.socket], payload: bytes) -> float:
    """How many came back in a second, of several callers of which each waits for a few at a time."""
    for client in clients:
        for _ in range(WAITING):
            client.send(payload)
    came, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + SECONDS:
        ready, _, _ = select.select(clients, [], [], 0.2)
        for client in ready:
            client.recv(65535)
            client.send(payload)
            came += 1
        if not ready:  # all are lost
            for client in clients:
                client.send(payload)
    return came / (now - began)


def report(name: str, client: Callable[[], socket.socket]) -> None:
    """Measure and print. Each measurement has sockets of its own, to which nothing comes late."""
    for size in SIZES:
        payload = b"x" * size
        with client() as one:
            took = alone(one, payload)
        with ExitStack() as stack:
            several = together([stack.enter_context(client()) for _ in range(CALLERS)], payload)
        print(
            f"{name:13} {size:5} bytes: p50 {statistics.median(took):3.0f} µs, p99 {took[len(took) * 99 // 100]:4.0f}; "
            f"{several:6,.0f} there and back/s, {several * size * 8 / 1e6:3.0f} Mbit/s each way"
        )


def main() -> None:
    """All three ways."""
    for name, tunnels in (("without Envoy", None), ("plain", False), ("in tunnels", True)):
        with tempfile.TemporaryDirectory() as folder:
            sidecars = Sidecars(Path(folder), tunnels=bool(tunnels))
            if tunnels is None:
                with echo(sidecars.pods[0]):
                    time.sleep(0.5)
                    report(name, partial(_direct, sidecars.pods[0]))
                continue
            with sidecars.everything():
                report(name, sidecars.client)


def _direct(pod: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.connect((pod, 7007))
    return made


if __name__ == "__main__":
    main()
