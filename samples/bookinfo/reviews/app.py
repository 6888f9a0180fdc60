"""Bookinfo's reviews: what two readers say, with stars where this version shows them.

`/reviews/<id>`, `/health`. v1 shows no stars, v2 black ones, v3 red ones: ENABLE_RATINGS, STAR_COLOR.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web

TEXTS = {
    "Reviewer1": "Two pairs of twins and one long misunderstanding: I laughed on every page.",
    "Reviewer2": "Light and quick. Do not look for depth here, and you will have a fine evening.",
}
FORWARDED = ("end-user", "user-agent", "cookie", "traceparent", "tracestate", "x-request-id", "b3")
RATINGS_UNAVAILABLE = {"error": "No ratings at the moment."}


@dataclass(frozen=True)
class Settings:
    """What makes a version of this service."""

    pod: str
    node: str
    shows_stars: bool
    color: str
    ratings_url: str

    @property
    def limit_s(self) -> float:
        """Seconds that the ratings may take."""
        return 10.0 if self.color == "black" else 2.5


SETTINGS = web.AppKey("settings", Settings)
SESSION = web.AppKey("session", aiohttp.ClientSession)


def settings_from_environment() -> Settings:
    """The settings of the container."""
    env = os.environ
    domain = f".{env['SERVICES_DOMAIN']}" if env.get("SERVICES_DOMAIN") else ""
    host, port = env.get("RATINGS_HOSTNAME", "ratings"), env.get("RATINGS_SERVICE_PORT", "9080")
    return Settings(
        pod=env.get("HOSTNAME", ""),
        node=env.get("NODE_NAME", ""),
        shows_stars=env.get("ENABLE_RATINGS", "false") == "true",
        color=env.get("STAR_COLOR", "black"),
        ratings_url=f"http://{host}{domain}:{port}/ratings",
    )


async def reviews(request: web.Request) -> web.Response:
    """Both reviews, and who served them; `peer` is the caller's identity as the proxies proved it."""
    settings = request.app[SETTINGS]
    product = request.match_info["product"]
    stars = await _stars(request, product) if settings.shows_stars else {}
    said = [
        {
            "reviewer": reviewer,
            "text": text,
            **({"rating": _rating(stars, reviewer, settings.color)} if stars else {}),
        }
        for reviewer, text in TEXTS.items()
    ]
    return web.json_response(
        {
            "id": product,
            "podname": settings.pod,
            "clustername": settings.node,
            "peer": request.headers.get("x-forwarded-client-cert", ""),
            "reviews": said,
        }
    )


def _rating(stars: dict[str, object], reviewer: str, color: str) -> dict[str, object]:
    if "error" in stars:
        return stars
    return {"stars": stars.get(reviewer, -1), "color": color}


async def _stars(request: web.Request, product: str) -> dict[str, object]:
    settings = request.app[SETTINGS]
    limit = aiohttp.ClientTimeout(total=settings.limit_s)
    try:
        url = f"{settings.ratings_url}/{product}"
        async with request.app[SESSION].get(url, headers=_forwarded(request), timeout=limit) as answer:
            if answer.status != 200:
                return dict(RATINGS_UNAVAILABLE)
            stars: dict[str, object] = (await answer.json())["ratings"]
            return stars
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return dict(RATINGS_UNAVAILABLE)


def _forwarded(request: web.Request) -> dict[str, str]:
    # Routing by user and tracing both need what came in to go on: no proxy can do that for us.
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() in FORWARDED or name.lower().startswith("x-b3-")
    }


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.json_response({"status": "Reviews is healthy"})


async def _session(service: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        service[SESSION] = session
        yield


def app(settings: Settings) -> web.Application:
    """The service."""
    service = web.Application()
    service[SETTINGS] = settings
    service.cleanup_ctx.append(_session)
    service.add_routes([web.get("/reviews/{product}", reviews), web.get("/health", health)])
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(settings_from_environment()), port=9080, print=None)
