"""Calls that a pod of the mesh makes, many at once, and what came of each."""

from __future__ import annotations

import json
from typing import NamedTuple

import msgspec

from isthmus.console.control_plane import access_to, running_pod
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kube.client import Client
from isthmus.kube.pods import run

_SCRIPT = """
import http.client, json, sys, time
asked = json.loads(sys.argv[1])
found = []
for _ in range(asked["times"]):
    began = time.monotonic()
    connection = http.client.HTTPConnection(asked["host"], asked["port"], timeout=20)
    try:
        connection.request(asked["method"], asked["path"], headers=asked["headers"])
        answer = connection.getresponse()
        status, body = answer.status, answer.read().decode(errors="replace")
        headers = {name.lower(): value for name, value in answer.getheaders()}
    except OSError as error:
        status, body, headers = 0, str(error), {}
    found.append({"status": status, "headers": headers, "body": body, "seconds": time.monotonic() - began})
    connection.close()
print(json.dumps(found))
"""


class Answer(msgspec.Struct, frozen=True):
    """What one request got."""

    status: int  # 0: no answer, for the reason that is the body
    headers: dict[str, str]
    body: str
    seconds: float

    @property
    def pod(self) -> str:
        """The pod of reviews that answered."""
        return str(json.loads(self.body)["podname"])

    @property
    def version(self) -> str:
        """Of which version of reviews that pod is."""
        return self.pod.split("-")[1]


class Request(NamedTuple):
    """What is asked for."""

    host: str = "reviews"
    port: int = 9080
    path: str = "/reviews/0"
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"


async def call(stage: Stage, request: Request | None = None, times: int = 1) -> list[Answer]:
    """The answers to requests from productpage's container in the public cluster, each on a connection of its own."""
    asked = {**(request or Request())._asdict(), "times": times}
    asked["headers"] = dict(asked["headers"])
    command = ["python3", "-c", _SCRIPT, json.dumps(asked)]
    async with Client(access_to(stage.lab.kubeconfig(PUBLIC), None)) as client:
        pod = await running_pod(client, "default", "app=productpage")
        output = await run(client, "default", pod, "productpage", command)
    assert output.code == 0, output.stderr.decode()
    return msgspec.json.decode(output.stdout, type=list[Answer])
