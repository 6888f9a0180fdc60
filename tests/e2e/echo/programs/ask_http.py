"""A client of HTTP: `ask_http.py WHAT HOST:PORT [JSON]` prints what came, as JSON."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import h2.config
import h2.connection
import h2.events


def get(host, port, asked):
    """Each of `paths`, all on one connection, or each on its own; with `times`, so often.

    A path may be a pair: itself, and headers of its own.
    """
    found, connection = [], None
    for each in asked["paths"] * asked.get("times", 1):
        path, own = each if isinstance(each, list) else (each, {})
        if connection is None or not asked.get("one_connection"):
            connection = http.client.HTTPConnection(host, port, timeout=20)
        began = time.monotonic()
        method, headers = asked.get("method", "GET"), {**asked.get("headers", {}), **own}
        connection.request(method, path, headers=headers, body=b"x" * asked.get("bytes", 0) or None)
        found.append(_answer(connection.getresponse(), time.monotonic() - began))
    return found


def side_by_side(host, port, asked):
    """The answers to all of `paths`, asked at the same time on connections of their own."""

    def one(path):
        return get(host, port, {"paths": [path]})[0]

    with ThreadPoolExecutor(len(asked["paths"])) as pool:
        return list(pool.map(one, asked["paths"]))


def _answer(answer, seconds):
    body = answer.read()
    return {
        "status": answer.status,
        "headers": {name.lower(): value for name, value in answer.getheaders()},
        "body": body.decode() if len(body) < 10_000 else "",
        "bytes": len(body),
        "seconds": seconds,
    }


def chunked(host, port, asked):
    """A body of so many bytes in chunks, whose length nobody was told before."""
    connection = http.client.HTTPConnection(host, port, timeout=20)
    parts = [b"y" * 50_000] * (asked["bytes"] // 50_000)
    connection.request("POST", "/who", body=iter(parts), encode_chunked=True)
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    return {**_answer(connection.getresponse(), 0), "sent": digest}


def raw(host, port, asked):
    """The answer to bytes as they are: for what clients do not let one say."""
    with socket.create_connection((host, port), timeout=10) as connection:
        found = []
        for part in asked["parts"]:
            connection.sendall(part.encode())
            time.sleep(0.3)
            found.append(connection.recv(65536).decode())
    return found


def to_the_end(host, port, asked):
    """All that comes after bytes as they are, until the other side ends the connection."""
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(asked["said"].encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part.decode())
    return "".join(parts)


def at_once(host, port, asked):
    """All of `paths` as streams of one HTTP/2 connection, and in which order they ended."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    bodies, heads, trailers, order = {}, {}, {}, []
    with socket.create_connection((host, port), timeout=20) as channel:
        for path in asked["paths"]:
            stream = connection.get_next_available_stream_id()
            pseudo = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", host)]
            connection.send_headers(stream, [*pseudo, ("te", "trailers")], end_stream=True)
            bodies[stream] = b""
        channel.sendall(connection.data_to_send())
        while len(order) < len(bodies) and (data := channel.recv(65536)):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    heads[event.stream_id] = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers[event.stream_id] = dict(event.headers)
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    order.append(event.stream_id)
            channel.sendall(connection.data_to_send())
    return [
        {
            "status": int(heads.get(stream, {}).get(":status", 0)),
            "body": bodies[stream].decode() if len(bodies[stream]) < 10_000 else "",
            "bytes": len(bodies[stream]),
            "trailers": trailers.get(stream, {}),
            "ended": order.index(stream) if stream in order else -1,
        }
        for stream in bodies
    ]


if __name__ == "__main__":
    what, where, *more = sys.argv[1:]
    name, _, number = where.rpartition(":")
    asking = {
        "get": get,
        "side_by_side": side_by_side,
        "chunked": chunked,
        "raw": raw,
        "to_the_end": to_the_end,
        "at_once": at_once,
    }[what]
    print(json.dumps(asking(name, int(number), json.loads(more[0]) if more else {})))
