"""Bookinfo's details: what is printed on the first pages of the book. `/details/<id>`, `/health`."""

from __future__ import annotations

import logging

from aiohttp import web

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}


async def details(request: web.Request) -> web.Response:
    """The details of a product; 400 where its id is no number."""
    product = request.match_info["product"]
    if not product.isdigit():
        return web.json_response({"error": f"{product!r} is no product number"}, status=400)
    return web.json_response({"id": int(product), **BOOK})


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.json_response({"status": "Details is healthy"})


def app() -> web.Application:
    """The service."""
    service = web.Application()
    service.add_routes([web.get("/details/{product}", details), web.get("/health", health)])
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(), port=9080, print=None)
