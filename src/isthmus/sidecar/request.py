"""`isthmus agent request` and `isthmus agent wait`: run inside a pod, they ask its Envoy and its agent."""

from __future__ import annotations

from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.plain_http import fetch


class RequestFailed(Exception):
    """No answer, or one that is no success."""


async def request(method: str, path: str, port: int = 15000, limit_s: float = 30.0) -> bytes:
    """What Envoy's admin answers to `method path`; the leading slash may be left out.

    Raises `RequestFailed`.
    """
    path = path if path.startswith("/") else f"/{path}"
    try:
        answer = await fetch(method.upper(), port, path, limit_s=limit_s)
    except (OSError, TimeoutError) as error:
        raise RequestFailed(
            f"no answer from 127.0.0.1:{port}: {error or 'too late'} (hint: does Envoy run here?)"
        ) from error
    if answer.status != 200:
        said = answer.body.decode(errors="replace").strip()[:200]
        raise RequestFailed(f"{method.upper()} {path}: status {answer.status}: {said}")
    return answer.body


async def wait_until_ready(port: int = 15020, limit_s: float = 60.0, clock: Clock | None = None) -> None:
    """Return when the agent on this pod says that Envoy is ready. Raises `RequestFailed` after `limit_s`."""
    clock = clock or SystemClock()
    until = clock.monotonic() + limit_s
    backoff = Backoff(first_s=0.05, limit_s=1.0)
    while True:
        try:
            await request("GET", "/healthz/ready", port)
        except RequestFailed:
            if clock.monotonic() > until:
                raise
            await clock.sleep(backoff.next_s())
        else:
            return
