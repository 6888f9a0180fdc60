"""Bookinfo's ratings: how many stars each reviewer gives. `/ratings/<id>`, `/health`.

v1 knows them by heart. v2 reads them from a database: MySQL where DB_TYPE is mysql, else MongoDB.
"""

from __future__ import annotations

import logging
import os

from aiohttp import web
from databases import Stars, Unavailable, mongodb, mysql

REVIEWERS = ("Reviewer1", "Reviewer2")
STARS = web.AppKey[Stars]("stars")


async def by_heart() -> list[int]:
    """What v1 always says."""
    return [5, 4]


def stars_from_environment() -> Stars:
    """Where the container's environment has the stars from."""
    env = os.environ
    if env.get("SERVICE_VERSION", "v1") == "v1":
        return by_heart
    return mysql(env) if env.get("DB_TYPE") == "mysql" else mongodb(env)


async def ratings(request: web.Request) -> web.Response:
    """The stars of a product; 400 where its id is no number, 500 where the database does not answer."""
    product = request.match_info["product"]
    if not product.isdigit():
        return web.json_response({"error": f"{product!r} is no product number"}, status=400)
    try:
        stars = await request.app[STARS]()
    except Unavailable as error:
        logging.warning("no stars: %s", error)
        return web.json_response({"error": "could not ask the database of ratings"}, status=500)
    return web.json_response({"id": int(product), "ratings": dict(zip(REVIEWERS, stars, strict=False))})


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.json_response({"status": "Ratings is healthy"})


def app(stars: Stars) -> web.Application:
    """The service."""
    service = web.Application()
    service[STARS] = stars
    service.add_routes([web.get("/ratings/{product}", ratings), web.get("/health", health)])
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(stars_from_environment()), port=9080, print=None)
