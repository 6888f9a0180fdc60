"""What an API server does with a pod on our behalf: fetch a page of it, run a command in it."""

from __future__ import annotations

import aiohttp
import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import KubeError

_PODS = Kind("", ("v1",), "Pod", "pods", Object)
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _STDERR, _STATUS = 1, 2, 3


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


async def fetch(client: Client, namespace: str, pod: str, port: int, path: str) -> bytes:
    """The body of `GET path` on a pod's port, through the API server's proxy subresource."""
    return await client.request("GET", path_of(_PODS, namespace, f"{pod}:{port}", "proxy") + path)


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
    except msgspec.MsgspecError as error:
        raise KubeError(f"exec ended with a status that is none: {error}") from error
    if answer.status == "Success":
        return 0
    for cause in answer.details.causes if answer.details else []:
        if cause.reason == "ExitCode":
            return int(cause.message)
    raise KubeError(f"exec failed: {answer.message}")
