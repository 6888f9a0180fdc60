"""Asks admission webhooks over HTTPS, at a URL or at a service of the cluster."""

from __future__ import annotations

import asyncio
import base64
import binascii
import socket
import ssl
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from isthmus.kit.tls import client_context
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.webhooks import Answer, Attempt, WebhookFailed

Json = dict[str, Any]

Find = Callable[[str, str, int], Awaitable[tuple[str, int]]]
"""Address and port at which a service's port is reached: `find(namespace, name, port)`. May raise `OSError`."""

_API_VERSION = "admission.k8s.io/v1"


class WebhookCaller:
    """Calls with the trust that each webhook's `caBundle` sets."""

    def __init__(self, find: Find) -> None:
        self._find = find

    async def ask(self, webhook: Json, attempt: Attempt) -> Answer:
        """The webhook's answer. Raises `WebhookFailed`."""
        request = review_of(attempt)
        limit = webhook.get("timeoutSeconds") or 10
        try:
            async with asyncio.timeout(limit):
                body = await self._post(webhook["clientConfig"], {"timeout": f"{limit}s"}, request)
        except TimeoutError as error:
            raise WebhookFailed(f"failed to call webhook: no answer in {limit} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebhookFailed(f"failed to call webhook: {error}") from error
        return answer_of(body, request["request"]["uid"])

    async def _post(self, client: Json, query: dict[str, str], request: Json) -> bytes:
        roots = base64.b64decode(client["caBundle"]) if client.get("caBundle") else None
        url, resolver = await self._target(client)
        context: ssl.SSLContext | bool = client_context(roots=roots) if url.startswith("https") else True
        connector = aiohttp.TCPConnector(ssl=context, resolver=resolver)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(url, params=query, json=request) as answer,
        ):
            body = await answer.read()
            if answer.status != 200:
                raise WebhookFailed(
                    f"the server answered {answer.status}: {body[:200].decode(errors='replace')}"
                )
            return body

    async def _target(self, client: Json) -> tuple[str, AbstractResolver | None]:
        if url := client.get("url"):
            return str(url), None
        service = client["service"]
        namespace, name = service["namespace"], service["name"]
        address, port = await self._find(namespace, name, service.get("port", 443))
        path = str(service.get("path") or "/")
        return f"https://{name}.{namespace}.svc:{port}{path}", _Fixed(address)


class _Fixed(AbstractResolver):
    """Finds every host at one address: the certificate must still be the service's."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=self._address,
                port=port,
                family=socket.AF_INET6 if ":" in self._address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def review_of(attempt: Attempt) -> Json:
    """The AdmissionReview that asks about `attempt`."""
    kind = _of_type(attempt.each, "kind", attempt.each.kind)
    resource = _of_type(attempt.each, "resource", attempt.each.plural)
    request: Json = {
        "uid": str(uuid.uuid4()),
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": attempt.place[1],
        "namespace": attempt.place[0],
        "operation": attempt.operation,
        "userInfo": attempt.user.as_json(),
        "object": attempt.new,
        "oldObject": attempt.old,
        "dryRun": attempt.dry_run,
    }
    if attempt.subresource:
        request |= {"subResource": attempt.subresource, "requestSubResource": attempt.subresource}
    return {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "request": request}


def answer_of(body: bytes, uid: str) -> Answer:
    """The answer in an AdmissionReview. Raises `WebhookFailed` where it is none, or one to another question."""
    try:
        review = msgspec.json.decode(body)
        response = review["response"]
        if response["uid"] != uid:
            raise WebhookFailed(f"the answer is to {response['uid']!r}, not to {uid!r}")
        patch = response.get("patch")
        if patch and response.get("patchType") != "JSONPatch":
            raise WebhookFailed(f"a patch of type {response.get('patchType')!r} (hint: answer a JSONPatch)")
        return Answer(
            allowed=bool(response["allowed"]),
            status=response.get("status") or {},
            patch=msgspec.json.decode(base64.b64decode(patch)) if patch else [],
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise WebhookFailed(f"the answer is no AdmissionReview: {error!r}") from error


def _of_type(each: ResourceType, word: str, name: str) -> Json:
    return {"group": each.group, "version": each.version, word: name}
