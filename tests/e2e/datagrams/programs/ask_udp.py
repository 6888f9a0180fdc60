"""Sends datagrams to a service and prints, as JSON, what came back: `ask_udp.py echo host:port {options}`."""

from __future__ import annotations

import json
import socket
import struct
import sys


def sent(where, payload, limit_s, connected=True):
    """The answer and who sent it; None where there was none in time."""
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(limit_s)
    try:
        if connected:
            near.connect(where)
            near.send(payload)
        else:
            near.sendto(payload, where)
        answer, peer = near.recvfrom(65535)
        return answer, list(peer)
    except OSError:
        return None, None
    finally:
        near.close()


def echo(where, sizes=(5,), times=1, limit_s=2.0, text="hello", connected=True):
    found = []
    for _ in range(times):
        for size in sizes:
            payload = (text * (size // len(text) + 1)).encode()[:size] if size > len(text) else text.encode()
            answer, peer = sent(where, payload, limit_s, connected)
            pod, _, back = (answer or b":").partition(b":")
            found.append({"pod": pod.decode(), "whole": back == payload, "bytes": len(payload), "peer": peer})
    return found


def session(where, times, limit_s=2.0):
    """Many datagrams from one socket."""
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(limit_s)
    found = []
    for number in range(times):
        near.sendto(str(number).encode(), where)
        try:
            found.append(near.recv(65535).decode())
        except OSError:
            found.append("")
    return found


def name(where, host):
    labels = b"".join(bytes((len(each),)) + each.encode() for each in host.split("."))
    question = struct.pack("!6H", 4242, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    answer, _ = sent(where, question, 2.0)
    return socket.inet_ntoa(answer[-4:]) if answer else None


how, target, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
host, _, port = target.rpartition(":")
try:
    place = (socket.gethostbyname(host), int(port))
except OSError:
    print(json.dumps(None))
    sys.exit()
print(json.dumps({"echo": echo, "session": session, "name": name}[how](place, **options)))
