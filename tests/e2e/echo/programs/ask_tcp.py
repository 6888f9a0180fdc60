"""A client of bytes: `ask_tcp.py WHAT HOST:PORT [JSON]` prints what came, as JSON."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import sys
import time
from pathlib import Path


def banner(connection, asked):
    """What the server says first, and its answers to two lines."""
    file = connection.makefile("rwb")
    began = time.monotonic()
    lines = [file.readline().decode().strip()]
    waited = time.monotonic() - began
    for line in asked.get("lines", ["NOOP", "QUIT"]):
        file.write(f"{line}\r\n".encode())
        file.flush()
        lines.append(file.readline().decode().strip())
    return {"lines": lines, "waited": waited}


def half(connection, asked):
    """What the server answers after our half of the connection is closed."""
    sent = b"z" * asked["bytes"]
    connection.sendall(b"COUNT\n" + sent)
    # Envoy drops a connection that is half-closed before it has looked at the first bytes of an unnamed port.
    time.sleep(0.2)
    connection.shutdown(socket.SHUT_WR)
    return {"said": _rest(connection).decode(), "sent": f"{len(sent)} {hashlib.sha256(sent).hexdigest()}"}


def left(connection, asked):
    """What the server says until it closes its half; afterwards we say as many bytes."""
    connection.sendall(f"LEAVE {asked['key']}\n".encode())
    said = _rest(connection).decode()
    connection.sendall(b"z" * asked["bytes"])
    return {"said": said}


def heard(connection, asked):
    """How much the server heard of `left` with this key."""
    connection.sendall(f"LEFT {asked['key']}\n".encode())
    return {"bytes": _rest(connection).decode()}


def fetch(connection, asked):
    """How many bytes come."""
    connection.sendall(f"SEND {asked['bytes']}\n".encode())
    return {"bytes": len(_rest(connection))}


def who(connection, asked):
    """Which pod answers."""
    connection.sendall(b"WHO are you\n")
    return {"pod": _rest(connection).decode()}


def idle(connection, asked):
    """What is said again, before and after so many seconds of silence."""
    connection.sendall(b"ECHO\nfirst")
    before = connection.recv(100).decode()
    time.sleep(asked["seconds"])
    connection.sendall(b"second")
    return {"said": [before, connection.recv(100).decode()]}


def stay(connection, asked):
    """Which pod answers, and what it says again after so many seconds; the file at `answered` tells of the first."""
    connection.sendall(b"NAME\n")
    pod = connection.recv(100).decode()
    Path(asked["answered"]).touch()
    time.sleep(asked["seconds"])
    connection.sendall(b"still here")
    return {"pod": pod, "said": connection.recv(100).decode()}


def reset(connection, asked):
    """How the connection ends when the server resets it."""
    connection.sendall(b"RESET\n")
    try:
        return {"said": _rest(connection).decode(), "ended": "closed"}
    except ConnectionResetError:
        return {"said": "", "ended": "reset"}


def many(connection, asked):
    """How many of so many connections at the same time are answered."""
    others = [
        socket.create_connection(connection.getpeername(), timeout=10) for _ in range(asked["count"] - 1)
    ]
    answered = 0
    for each in (connection, *others):
        try:
            each.sendall(b"NAME\n")
            answered += bool(each.recv(100))
        except OSError:
            continue
    return {"answered": answered}


def _rest(connection):
    parts = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def connect(host, port, asked):
    connection = socket.create_connection((host, port), timeout=30)
    if not asked.get("tls"):
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname="story.example")


if __name__ == "__main__":
    what, where, *more = sys.argv[1:]
    name, _, number = where.rpartition(":")
    said = json.loads(more[0]) if more else {}
    kinds = {each.__name__: each for each in (banner, half, left, heard, fetch, who, idle, stay, many, reset)}
    found = []
    for _ in range(said.get("times", 1)):
        with connect(name, int(number), said) as channel:
            found.append(kinds[what](channel, said))
    print(json.dumps(found))
