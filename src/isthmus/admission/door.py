"""Which path answers what, within which time: the webhooks' side of HTTP. Source: Istio's paths, Kubernetes' rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs

from isthmus.admission.injection import Injection, NotReady
from isthmus.admission.paths import INJECT, VALIDATE, UnknownPath, where_of
from isthmus.admission.review import Answer, Asked, InvalidReview, read_review, written
from isthmus.admission.validation import validated
from isthmus.kit.metrics import INJECTION_FAILURES, VALIDATION_ERRORS
from isthmus.kit.plain_http import Request, Response
from isthmus.kit.scopes import admission as log

_JSON = "application/json"
_LIMIT_S, _LONGEST_S = 10.0, 30.0  # what API servers wait, where they do not say, and at the most
_LARGE_BYTES = 64 << 10
"""Larger questions are answered beside the loop, on which others wait."""


class Door:
    """Answers the requests of API servers."""

    def __init__(self, injection: Injection, *, validates: bool = True) -> None:
        self._injection, self._validates = injection, validates

    async def answer(self, request: Request) -> Response:
        """The answer to one request; what cannot be answered says why."""
        path, _, query = request.path.partition("?")
        try:
            decide = self._who_decides(path)
            _must_be_posted_json(request)
            async with asyncio.timeout(_limit_s(query)):
                if len(request.body) > _LARGE_BYTES:
                    body = await asyncio.to_thread(_decided, request.body, decide)
                else:
                    body = _decided(request.body, decide)
            return Response(body=body, content_type=_JSON)
        except UnknownPath as error:
            return _no_answer(path, 404, str(error))
        except _WrongRequest as error:
            return _no_answer(path, error.status, str(error))
        except InvalidReview as error:
            return _no_answer(path, 400, str(error))
        except NotReady as error:
            return _no_answer(path, 503, str(error))
        except TimeoutError:
            return _no_answer(path, 504, "there was no answer in time")

    def _who_decides(self, path: str) -> Callable[[Asked], Answer]:
        if path == VALIDATE and self._validates:
            return validated
        if _is_about_pods(path):
            where = where_of(path)
            return lambda asked: self._injection.answer(asked, where)
        there = f"{INJECT} and {VALIDATE}" if self._validates else INJECT
        raise UnknownPath(f"{path}: webhooks are answered at {there}")


def _is_about_pods(path: str) -> bool:
    return path == INJECT or path.startswith(f"{INJECT}/")


class _WrongRequest(ValueError):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _decided(body: bytes, decide: Callable[[Asked], Answer]) -> bytes:
    asked = read_review(body)
    return written(decide(asked), asked)


def _must_be_posted_json(request: Request) -> None:
    if request.method != "POST":
        raise _WrongRequest(405, "questions are posted")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise _WrongRequest(415, f"contentType={kind or 'none'}, expected {_JSON}")
    if not request.body:
        raise _WrongRequest(400, "no body found")


def _limit_s(query: str) -> float:
    """How long the API server waits, which it says as `timeout=10s`."""
    said = parse_qs(query).get("timeout", [""])[0].removesuffix("s")
    if said.isascii() and said.isdecimal() and int(said[:9]):
        return min(float(said[:9]), _LONGEST_S)
    return _LIMIT_S


def _no_answer(path: str, status: int, why: str) -> Response:
    log.warning("webhook not answered", path=path[:200], status=status, reason=why[:500])
    if path == VALIDATE:
        VALIDATION_ERRORS.labels(status=str(status)).inc()
    elif _is_about_pods(path):
        INJECTION_FAILURES.inc()
    return Response(status, f"{why}\n".encode())
