"""Echoes datagrams at one port, saying which pod it is; answers questions of DNS at another, all with one address."""

from __future__ import annotations

import asyncio
import os
import sys

POD = os.environ.get("HOSTNAME", "").encode()
ECHO, NAMES = map(int, sys.argv[1:3])
ADDRESS = bytes((192, 0, 2, 99))


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(POD + b":" + data, addr)


class Names(Echo):
    def datagram_received(self, data, addr):
        head = data[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
        end = data.index(b"\0", 12) + 5
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04" + ADDRESS
        self.transport.sendto(head + data[12:end] + record, addr)


async def main():
    loop = asyncio.get_running_loop()
    for kind, port in ((Echo, ECHO), (Names, NAMES)):
        await loop.create_datagram_endpoint(kind, ("0.0.0.0", port))
    await asyncio.Event().wait()


asyncio.run(main())
