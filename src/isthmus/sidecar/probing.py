"""One probe of a workload, in each of the ways that a WorkloadGroup names: as a kubelet asks its containers."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress

from isthmus.api.istio.workload_group import (
    ExecHealthCheckConfig,
    GRPCHealthCheckConfig,
    HTTPHealthCheckConfig,
    ReadinessProbe,
    TCPHealthCheckConfig,
)
from isthmus.kit.ip import authority
from isthmus.kit.protobuf import field, fields
from isthmus.wire.call import CallFailed, Channel

_HEALTH_PATH = "/grpc.health.v1.Health/Check"
_SERVICE, _STATUS, _SERVING = 1, 1, 1
"""Source: grpc/health/v1/health.proto."""
_LONGEST_LINE = 1 << 10


async def fault(probe: ReadinessProbe, own: str) -> str:
    """Why the workload at the address `own` is not well; empty where it is."""
    limit_s = probe.timeout_seconds or 1
    try:
        async with asyncio.timeout(limit_s):
            if probe.http_get is not None:
                return await _http(probe.http_get, probe.http_get.host or own)
            if probe.tcp_socket is not None:
                return await _tcp(probe.tcp_socket, probe.tcp_socket.host or own)
            if probe.exec is not None:
                return await _exec(probe.exec)
            if probe.grpc is not None:
                return await _grpc(probe.grpc, own, limit_s)
    except TimeoutError:
        return f"no answer within {limit_s} s"
    except CallFailed as error:
        return error.text
    except OSError as error:
        return os.strerror(error.errno).lower() if error.errno else str(error)
    except ValueError as error:
        return str(error)
    return ""


async def _http(asked: HTTPHealthCheckConfig, host: str) -> str:
    secure = asked.scheme.upper() == "HTTPS"
    reader, writer = await asyncio.open_connection(host, asked.port, ssl=_anybody() if secure else None)
    try:
        said = {each.name: each.value for each in asked.http_headers}
        lines = {"Host": authority(host, asked.port), "User-Agent": "isthmus-probe", **said}
        head = [f"GET {asked.path or '/'} HTTP/1.1", *(f"{name}: {each}" for name, each in lines.items())]
        writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode())
        first = (await reader.readline())[:_LONGEST_LINE].decode("latin-1")
    finally:
        writer.transport.abort()
    status = first.split(" ")[1] if first.startswith("HTTP/1.") and " " in first else ""
    if status[:3].isdecimal() and 200 <= int(status[:3]) < 400:
        return ""
    return f"GET {asked.path} answers {status or 'what is not HTTP'}"


def _anybody() -> ssl.SSLContext:
    """Whoever answers is the one that is asked: a kubelet does not look at certificates either."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _tcp(asked: TCPHealthCheckConfig, host: str) -> str:
    _, writer = await asyncio.open_connection(host, asked.port)
    writer.transport.abort()
    return ""


async def _exec(asked: ExecHealthCheckConfig) -> str:
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *asked.command, stdin=nothing, stdout=nothing, stderr=nothing
    )
    try:
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return f"{asked.command[0]} ends with {code}" if code else ""


async def _grpc(asked: GRPCHealthCheckConfig, host: str, limit_s: float) -> str:
    question = field(_SERVICE, asked.service.encode()) if asked.service else b""
    async with Channel(authority(host, asked.port)) as channel:
        answer = await channel.unary(_HEALTH_PATH, question, timeout_s=limit_s)
    return (
        ""
        if dict(fields(answer)).get(_STATUS) == _SERVING
        else "gRPC's health service says that it does not serve"
    )
