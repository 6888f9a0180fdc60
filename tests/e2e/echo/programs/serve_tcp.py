"""Bytes: a server that speaks first, one that the caller tells what to do, and that one behind TLS of its own."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import socket
import ssl
import struct
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BANNER, TOLD, TLS = (8083, 7083), (8084, 7084), (8443, 7443)


async def serve(pod):
    async def banner(reader, writer):
        """Greets as mail servers do, then answers each line, until QUIT."""
        writer.write(f"220 {pod} ready\r\n".encode())
        while line := (await reader.readline()).decode().strip():
            writer.write(f"250 {line} at {pod}\r\n".encode())
            if line == "QUIT":
                break
        writer.close()

    async def told(reader, writer):
        """The first line says what to do: COUNT all to come, ECHO it, NAME oneself and echo it, and so on."""
        word, _, number = (await reader.readline()).decode().strip().partition(" ")
        if word == "COUNT":
            await count(reader, writer)
        elif word in {"ECHO", "NAME"}:
            writer.write(pod.encode() if word == "NAME" else b"")
            async for part in parts(reader):
                writer.write(part)
                await writer.drain()
        elif word == "SEND":
            await send(writer, int(number))
        elif word == "LEAVE":
            left[number] = await leave(reader, writer)
        elif word == "LEFT":
            writer.write(str(left.get(number, "")).encode())
        elif word == "RESET":
            reset(writer)
        elif word == "WHO":
            writer.write(pod.encode())
        writer.close()

    async def count(reader, writer):
        digest, length = hashlib.sha256(), 0
        async for part in parts(reader):
            digest.update(part)
            length += len(part)
        writer.write(f"{length} {digest.hexdigest()} {pod}".encode())  # after the caller's half is closed

    async def leave(reader, writer):
        """Closes our half of the connection, and counts what comes after that."""
        writer.write(pod.encode())
        writer.write_eof()
        return sum([len(part) async for part in parts(reader)])

    left = {}
    context = certificate_of_its_own()
    servers = [
        *[await asyncio.start_server(banner, "0.0.0.0", port) for port in BANNER],
        *[await asyncio.start_server(told, "0.0.0.0", port) for port in TOLD],
        *[await asyncio.start_server(told, "0.0.0.0", port, ssl=context) for port in TLS],
    ]
    await asyncio.gather(*(each.serve_forever() for each in servers))


async def parts(reader):
    """What comes, until the other side has closed its half."""
    while part := await reader.read(65536):
        yield part


async def send(writer, length):
    for begin in range(0, length, 65536):
        writer.write(b"x" * min(65536, length - begin))
        await writer.drain()


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def certificate_of_its_own():
    """A server's context with a certificate that nobody but itself signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "story.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "both.pem")
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
        file.write_bytes(private + made.public_bytes(encoding))
        context.load_cert_chain(file)
    return context
