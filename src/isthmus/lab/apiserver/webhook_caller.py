"""Asks admission webhooks over HTTPS, at a URL or at a service of the cluster."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from isthmus.kit.tls import client_context
from isthmus.lab.apiserver.attempt import Attempt, question
from isthmus.lab.apiserver.doors import NoEndpoint, Streams
from isthmus.lab.apiserver.nodes import NodeError
from isthmus.lab.apiserver.plain_http import Ask, exchange
from isthmus.lab.apiserver.webhooks import Answer, WebhookFailed

Json = dict[str, Any]

ToService = Callable[[str, str, str], Awaitable[Streams]]
"""A connection to a service's port, by namespace, name and port; see `Doors.to_service`."""

_API_VERSION = "admission.k8s.io/v1"


class WebhookCaller:
    """Calls with the trust that each webhook's `caBundle` sets."""

    def __init__(self, to_service: ToService) -> None:
        self._to_service = to_service

    async def ask(self, webhook: Json, attempt: Attempt) -> Answer:
        """The webhook's answer. Raises `WebhookFailed`."""
        request = review_of(attempt)
        limit = webhook.get("timeoutSeconds") or 10
        try:
            async with asyncio.timeout(limit):
                body = await self._post(webhook["clientConfig"], f"timeout={limit}s", request)
        except TimeoutError as error:
            raise WebhookFailed(f"failed to call webhook: no answer in {limit} s") from error
        except (NodeError, NoEndpoint, OSError, ValueError) as error:
            raise WebhookFailed(f"failed to call webhook: {error}") from error
        return answer_of(body, request["request"]["uid"])

    async def _post(self, client: Json, query: str, request: Json) -> bytes:
        host, path, (reader, writer) = await self._connect(client)
        try:
            headers = (("Host", host), ("Content-Type", "application/json"), ("Accept", "application/json"))
            joint = "&" if "?" in path else "?"
            ask = Ask("POST", f"{path}{joint}{query}", headers, msgspec.json.encode(request))
            reply = await exchange(reader, writer, ask)
            body = b"".join([part async for part in reply.body])
        finally:
            writer.close()
        if reply.status != 200:
            raise WebhookFailed(f"failed to call webhook: {_said(reply.status, body)}")
        return body

    async def _connect(self, client: Json) -> tuple[str, str, Streams]:
        """The host's name, the path, and a connection on which TLS has verified that name."""
        roots = base64.b64decode(client["caBundle"]) if client.get("caBundle") else None
        context = client_context(roots=roots)
        if service := client.get("service"):
            namespace, name, port = service["namespace"], service["name"], service.get("port", 443)
            host = f"{name}.{namespace}.svc"
            reader, writer = await self._to_service(namespace, name, str(port))
            await writer.start_tls(context, server_hostname=host)
            return host, str(service.get("path") or "/"), (reader, writer)
        url = urlsplit(client["url"])
        path = url.path + (f"?{url.query}" if url.query else "")
        host = url.hostname or ""
        streams = await asyncio.open_connection(host, url.port or 443, ssl=context)
        return host, path or "/", streams


def review_of(attempt: Attempt) -> Json:
    """The AdmissionReview that asks about `attempt`."""
    return {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "request": question(attempt)}


def answer_of(body: bytes, uid: str) -> Answer:
    """The answer in an AdmissionReview. Raises `WebhookFailed` where it is none, or one to another question."""
    try:
        response = msgspec.json.decode(body)["response"]
        if response["uid"] != uid:
            raise WebhookFailed(f'{_INVALID}: expected response.uid="{uid}", got "{response["uid"]}"')
        patch = msgspec.json.decode(base64.b64decode(response.get("patch") or "W10="))
        if patch and response.get("patchType") != "JSONPatch":
            raise WebhookFailed(f'unsupported patch type "{response.get("patchType") or ""}"')
        return Answer(
            allowed=bool(response["allowed"]),
            status=response.get("status") or {},
            patch=patch,
            warnings=tuple(map(str, response.get("warnings") or ())),
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise WebhookFailed(f"failed to call webhook: the answer is no AdmissionReview: {error!r}") from error


_INVALID = "received invalid webhook response"
_WORDS = {
    400: "the server rejected our request for an unknown reason",
    404: "the server could not find the requested resource",
    503: "the server is currently unable to handle the request",
}


def _said(status: int, body: bytes) -> str:
    """What Go's client makes of an answer that is no Status."""
    said = body[:200].decode(errors="replace")
    return _WORDS.get(status, f'an error on the server ("{said}") has prevented the request from succeeding')
