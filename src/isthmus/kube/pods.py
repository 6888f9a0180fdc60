"""What an API server does with a pod on our behalf: lead us to a port of it, run a command in it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kit.plain_http import Response, question, read_response
from isthmus.kit.tasks import supervise
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import KubeError, refused
from isthmus.kube.pod_port import DATA, connect, heard, send

_PODS = Kind("", ("v1",), "Pod", "pods", Object)
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _STDERR, _STATUS = 1, 2, 3
_LIMIT_S = 30.0


class Output(msgspec.Struct, frozen=True):
    """What a command wrote and how it ended."""

    stdout: bytes
    stderr: bytes
    code: int


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = []


class _Status(msgspec.Struct):
    status: str = ""
    message: str = ""
    details: _Details | None = None


class Question(NamedTuple):
    """What is asked at a port of a pod."""

    port: int
    path: str
    method: str = "GET"


async def fetch(client: Client, namespace: str, pod: str, port: int, path: str) -> bytes:
    """The body of `GET path` on a pod's port; as `ask` does it."""
    return await ask(client, namespace, pod, Question(port, path))


async def ask(client: Client, namespace: str, pod: str, asked: Question) -> bytes:
    """The body of what a pod's port answers, asked within the pod on loopback, by Kubernetes' port-forward.

    Raises `KubeError`: `Refused` where the answer is no success, whoever gives it.
    """
    where = f"{namespace}/{pod}:{asked.port}"
    socket = await connect(client, namespace, pod, asked.port)
    try:
        async with asyncio.timeout(_LIMIT_S):
            await send(socket, question(asked.method, asked.path, f"localhost:{asked.port}"))
            answer = await _answer(socket, where)
    except TimeoutError as error:
        raise KubeError(f"{where} did not answer within {_LIMIT_S:g} s") from error
    finally:
        await socket.close()
    if answer.status != HTTPStatus.OK:
        raise refused(answer.status, answer.body)
    return answer.body


async def _answer(socket: aiohttp.ClientWebSocketResponse, where: str) -> Response:
    reader, errors = asyncio.StreamReader(), bytearray()
    async with supervise(_hear(socket, reader, errors)):
        try:
            return await read_response(reader)
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            broken = error
    said = errors.decode(errors="replace").strip() or "it did not answer in HTTP"
    raise KubeError(f"{where}: {said}") from broken


async def _hear(
    socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader, errors: bytearray
) -> None:
    """Sorts what comes by data and errors."""
    async for channel, words in heard(socket):
        if channel == DATA:
            reader.feed_data(words)
        else:
            errors += words
    reader.feed_eof()


async def run(client: Client, namespace: str, pod: str, container: str, command: list[str]) -> Output:
    """What `command` wrote in a container of the pod. Raises `KubeError` where it could not be run."""
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    path = path_of(_PODS, namespace, pod, "exec")
    parts: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
    socket = await client.websocket(path, query, _PROTOCOLS)
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data:
                parts.setdefault(message.data[0], []).append(message.data[1:])
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise KubeError(f"exec in {namespace}/{pod} broke off: {socket.exception()}")
    finally:
        await socket.close()
    return Output(b"".join(parts[_STDOUT]), b"".join(parts[_STDERR]), _exit_code(b"".join(parts[_STATUS])))


def _exit_code(status: bytes) -> int:
    if not status:
        raise KubeError("exec ended without a status")
    try:
        answer = msgspec.json.decode(status, type=_Status)
    except UNREADABLE as error:
        raise KubeError(f"exec ended with a status that is none: {error}") from error
    if answer.status == "Success":
        return 0
    for cause in answer.details.causes if answer.details else []:
        if cause.reason == "ExitCode":
            return int(cause.message)
    raise KubeError(f"exec failed: {answer.message}")
