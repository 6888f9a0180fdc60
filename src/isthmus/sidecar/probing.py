"""One probe of a workload, in each of the ways that a kubelet knows: for WorkloadGroups, and for kubelets themselves.

Source: Kubernetes' documentation "Configure Liveness, Readiness and Startup Probes".
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

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
_MOST_REDIRECTS = 10
_OF_PATHS = "/%:=&?~#+!$,;'@()*[]"
_AGENT = "isthmus-probe"
_LOOPBACK, _LOOPBACK6 = "127.0.0.1", "::1"


class Here(NamedTuple):
    """Where the workload is asked."""

    address: str
    source: str = ""
    """From which address, where capture would take the agent's own connections for Envoy's; empty: any."""


class Answer(NamedTuple):
    """What came of a probe."""

    status: int
    """Of HTTP; for other ways the one that says the same."""
    fault: str = ""
    """Why the workload is not well; empty where it is."""


async def fault(probe: ReadinessProbe, here: Here) -> str:
    """Why the workload is not well; empty where it is."""
    return (await answer(probe, here)).fault


async def answer(probe: ReadinessProbe, here: Here, agent: str = _AGENT) -> Answer:
    """What the workload answers; `agent` is who asks, as HTTP's User-Agent."""
    limit_s = probe.timeout_seconds or 1
    why = ""
    try:
        async with asyncio.timeout(limit_s):
            if probe.http_get is not None:
                return await _http(probe.http_get, here, agent)
            if probe.tcp_socket is not None:
                why = await _tcp(probe.tcp_socket, here)
            if probe.exec is not None:
                why = await _exec(probe.exec)
            if probe.grpc is not None:
                why = await _grpc(probe.grpc, here, limit_s)
    except TimeoutError:
        why = f"no answer within {limit_s} s"
    except CallFailed as error:
        why = error.text
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
    except ValueError as error:
        why = str(error)
    return Answer(500 if why else 200, why)


async def _http(asked: HTTPHealthCheckConfig, here: Here, agent: str) -> Answer:
    """As a kubelet asks: it follows where the same host leads it, and takes another host's name for an answer."""
    scheme, host = asked.scheme.lower(), authority(asked.host or here.address, asked.port)
    there = urlsplit(f"{scheme}://{host}/{quote(asked.path.removeprefix('/'), safe=_OF_PATHS)}")
    for _ in range(_MOST_REDIRECTS):
        status, location = await _get(there, asked, here, agent)
        there, before = urlsplit(urljoin(there.geturl(), location)), there
        if not location or there.hostname != before.hostname:
            well = 200 <= status < 400
            return Answer(status, "" if well else f"GET {asked.path} answers {status}")
    return Answer(500, f"GET {asked.path} is led on more than {_MOST_REDIRECTS} times")


async def _get(url: SplitResult, asked: HTTPHealthCheckConfig, here: Here, agent: str) -> tuple[int, str]:
    """The status, and where that leads on. Raises `ValueError` where what answers is not HTTP."""
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    reader, writer = await _dial(url.hostname or "", port, here, _anybody() if secure else None)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        head = [f"GET {path} HTTP/1.1", *_header_lines(asked, url.netloc, agent)]
        writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode())
        first = (await reader.readline())[:_LONGEST_LINE].decode("latin-1")
        text = first.split()[1] if first.startswith("HTTP/1.") and len(first.split()) > 1 else ""
        if not (text.isdecimal() and len(text) == 3):
            raise ValueError(f"GET {asked.path} answers {text or 'what is not HTTP'}")
        status = int(text)
        return status, await _location(reader) if 300 <= status < 400 else ""
    finally:
        writer.transport.abort()


def _header_lines(asked: HTTPHealthCheckConfig, host: str, agent: str) -> Iterator[str]:
    """What the probe says over what is usual; what it says to be empty is not sent, as by a kubelet."""
    said = [(each.name, each.value) for each in asked.http_headers]
    own = {name.lower() for name, _ in said}
    usual = [("Host", host), ("User-Agent", agent), ("Accept", "*/*")]
    lines = [*(each for each in usual if each[0].lower() not in own), *said]
    for name, value in sorted(lines, key=lambda line: line[0].lower() != "host"):
        if {"\r", "\n", "\0"}.intersection(name + value):
            raise ValueError(f"header {name!r} cannot be sent: it has a line break")
        if value or name.lower() not in {"user-agent", "accept"}:
            yield f"{name}: {value}"


async def _location(reader: asyncio.StreamReader) -> str:
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        if name.lower() == "location":
            return value.strip()
    return ""


async def _dial(
    host: str, port: int, here: Here, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    source = (here.source, 0) if here.source and host == here.address else None
    return await asyncio.open_connection(host, port, ssl=tls, local_addr=source)


def _anybody() -> ssl.SSLContext:
    """Whoever answers is the one that is asked: a kubelet does not look at certificates either."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _tcp(asked: TCPHealthCheckConfig, here: Here) -> str:
    _, writer = await _dial(asked.host or here.address, asked.port, here)
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


async def _grpc(asked: GRPCHealthCheckConfig, here: Here, limit_s: float) -> str:
    # gRPC's connections have no source that one could choose, and those over loopback are never captured.
    host = (_LOOPBACK6 if ":" in here.address else _LOOPBACK) if here.source else here.address
    question = field(_SERVICE, asked.service.encode()) if asked.service else b""
    async with Channel(authority(host, asked.port)) as channel:
        answer = await channel.unary(_HEALTH_PATH, question, timeout_s=limit_s)
    return (
        ""
        if dict(fields(answer)).get(_STATUS) == _SERVING
        else "gRPC's health service says that it does not serve"
    )
