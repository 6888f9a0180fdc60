"""Bookinfo's ratings: how many stars each reviewer gives. `/ratings/<id>`, `/health`."""

from __future__ import annotations

import logging

from aiohttp import web

STARS = {"Reviewer1": 5, "Reviewer2": 4}


async def ratings(request: web.Request) -> web.Response:
    """The stars of a product; 400 where its id is no number."""
    product = request.match_info["product"]
    if not product.isdigit():
        return web.json_response({"error": f"{product!r} is no product number"}, status=400)
    return web.json_response({"id": int(product), "ratings": STARS})


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.json_response({"status": "Ratings is healthy"})


def app() -> web.Application:
    """The service."""
    service = web.Application()
    service.add_routes([web.get("/ratings/{product}", ratings), web.get("/health", health)])
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(), port=9080, print=None)
