"""Bookinfo's details: what is printed on the first pages of the book. `/details/<id>`, `/health`.

v2 (ENABLE_EXTERNAL_BOOK_SERVICE=true) asks a service on the internet. With WITH_ISTIO=true it speaks plain HTTP
to port 443, and the sidecar makes that TLS.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
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
ISBN = "0486424618"
LANGUAGES = {"en": "English"}
LIMIT = aiohttp.ClientTimeout(total=5)
BOOKS = web.AppKey("books", str)  # the URL to ask; empty: nobody is asked
SESSION = web.AppKey("session", aiohttp.ClientSession)


def books_from_environment(env: Mapping[str, str]) -> str:
    """The URL that the container's environment lets this ask; empty where it lets it not."""
    if env.get("ENABLE_EXTERNAL_BOOK_SERVICE") != "true":
        return ""
    host = env.get("BOOKS_HOSTNAME", "www.googleapis.com")
    service = f"http://{host}:443" if env.get("WITH_ISTIO") == "true" else f"https://{host}"
    return f"{service}/books/v1/volumes?q=isbn:{ISBN}"


async def details(request: web.Request) -> web.Response:
    """The details of a product; 400 where its id is no number, 502 where the other service does not say."""
    product = request.match_info["product"]
    if not product.isdigit():
        return web.json_response({"error": f"{product!r} is no product number"}, status=400)
    try:
        book = await _ask(request) if request.app[BOOKS] else BOOK
    except (aiohttp.ClientError, TimeoutError, LookupError, ValueError) as error:
        logging.warning("no book: %r", error)
        return web.json_response({"error": "could not ask for the book"}, status=502)
    return web.json_response({"id": int(product), **book})


async def _ask(request: web.Request) -> dict[str, object]:
    async with request.app[SESSION].get(request.app[BOOKS], timeout=LIMIT) as answer:
        answer.raise_for_status()
        volume = (await answer.json())["items"][0]["volumeInfo"]
    return as_details(volume)


def as_details(volume: dict[str, Any]) -> dict[str, object]:
    """A volume as Google's service tells of it, in Bookinfo's words."""
    numbers = {each["type"]: each["identifier"] for each in volume.get("industryIdentifiers", ())}
    return {
        "author": ", ".join(volume["authors"]),
        "year": volume["publishedDate"],
        "type": "paperback" if volume.get("printType") == "BOOK" else "unknown",
        "pages": volume.get("pageCount", 0),
        "publisher": volume.get("publisher", ""),
        "language": LANGUAGES.get(volume.get("language", ""), "unknown"),
        "ISBN-10": numbers.get("ISBN_10", ""),
        "ISBN-13": numbers.get("ISBN_13", ""),
    }


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.json_response({"status": "Details is healthy"})


async def _session(service: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        service[SESSION] = session
        yield


def app(books: str) -> web.Application:
    """The service."""
    service = web.Application()
    service[BOOKS] = books
    service.cleanup_ctx.append(_session)
    service.add_routes([web.get("/details/{product}", details), web.get("/health", health)])
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(books_from_environment(os.environ)), port=9080, print=None)
