"""Calls a host at each address that its name has, by HTTP and by datagrams, and prints what came as JSON."""

from __future__ import annotations

import http.client
import json
import socket
import sys


def by_http(address, host):
    connection = http.client.HTTPConnection(address, 80, timeout=5)
    try:
        connection.request("GET", "/", headers={"host": host, "x-said": "nobody-may-read-this"})
        answer = connection.getresponse()
        body = answer.read().decode()
        return {"status": answer.status, **(json.loads(body) if answer.status == 200 else {"body": body})}
    except (OSError, ValueError) as error:
        return {"status": 0, "body": str(error)}
    finally:
        connection.close()


def by_datagram(address):
    near = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(2)
    try:
        near.connect((address, 7))
        near.send(b"nobody-may-read-this")
        pod, _, back = near.recv(65535).partition(b":")
        return pod.decode() if back == b"nobody-may-read-this" else ""
    except OSError:
        return ""
    finally:
        near.close()


host = sys.argv[1]
try:
    found = sorted({each[4][0] for each in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)})
except OSError:
    found = []
answers = {each: {"http": by_http(each, host), "datagram": by_datagram(each)} for each in found}
json.dump(answers, sys.stdout)
