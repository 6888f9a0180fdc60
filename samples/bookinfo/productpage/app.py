"""Bookinfo's product page: a book with its details and reviews.

`/productpage`, `/login`, `/logout`, `/health`, `/api/v1/products…`. Details may take 3 s; reviews are tried
twice, 3 s each, as in the sample that this one stands for.
"""

from __future__ import annotations

import html
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import aiohttp
from aiohttp import web

PRODUCT = {
    "id": 0,
    "title": "The Comedy of Errors",
    "descriptionHtml": "A farce by <b>William Shakespeare</b>: the shortest of his plays, and one of the first.",
}
FORWARDED = ("end-user", "user-agent", "cookie", "traceparent", "tracestate", "x-request-id", "b3")
LIMIT_S = 3.0
PAGE = Template((Path(__file__).parent / "page.html").read_text())


@dataclass(frozen=True)
class Backends:
    """Where the other services are."""

    details: str
    reviews: str
    ratings: str


Answer = tuple[int, dict[str, object]]
BACKENDS = web.AppKey("backends", Backends)
SESSION = web.AppKey("session", aiohttp.ClientSession)


def backends_from_environment() -> Backends:
    """The addresses that the container's environment gives."""
    domain = f".{os.environ['SERVICES_DOMAIN']}" if os.environ.get("SERVICES_DOMAIN") else ""

    def url(name: str) -> str:
        host = os.environ.get(f"{name.upper()}_HOSTNAME", name)
        port = os.environ.get(f"{name.upper()}_SERVICE_PORT", "9080")
        return f"http://{host}{domain}:{port}/{name}"

    return Backends(url("details"), url("reviews"), url("ratings"))


async def productpage(request: web.Request) -> web.Response:
    """The page, for people."""
    details = await _ask(request, request.app[BACKENDS].details, tries=1)
    reviews = await _ask(request, request.app[BACKENDS].reviews, tries=2)
    page = PAGE.substitute(
        title=PRODUCT["title"],
        description=PRODUCT["descriptionHtml"],
        user=_user_html(request.cookies.get("user", "")),
        details=_details_html(*details),
        reviews=_reviews_html(*reviews),
    )
    return web.Response(text=page, content_type="text/html")


async def login(request: web.Request) -> web.Response:
    """Remember the user in a cookie; the password is not looked at."""
    user = str((await request.post()).get("username", ""))
    answer = web.HTTPFound("/productpage")
    answer.set_cookie("user", user)
    return answer


async def logout(_: web.Request) -> web.Response:
    """Forget the user."""
    answer = web.HTTPFound("/productpage")
    answer.del_cookie("user")
    return answer


async def health(_: web.Request) -> web.Response:
    """That this is alive."""
    return web.Response(text="Product page is healthy")


async def products(_: web.Request) -> web.Response:
    """All products: there is one."""
    return web.json_response([PRODUCT])


async def product(request: web.Request) -> web.Response:
    """The product with its details."""
    return _json(await _ask(request, request.app[BACKENDS].details, tries=1))


async def product_reviews(request: web.Request) -> web.Response:
    """What is said about the product."""
    return _json(await _ask(request, request.app[BACKENDS].reviews, tries=2))


async def product_ratings(request: web.Request) -> web.Response:
    """The stars of the product."""
    return _json(await _ask(request, request.app[BACKENDS].ratings, tries=1))


async def _ask(request: web.Request, url: str, tries: int) -> Answer:
    name = url.rpartition("/")[2]
    failed = {"error": f"No {name} of this book at the moment."}
    limit, status = aiohttp.ClientTimeout(total=LIMIT_S), 500
    for _ in range(tries):
        try:
            get = request.app[SESSION].get(f"{url}/0", headers=_forwarded(request), timeout=limit)
            async with get as answer:
                if answer.status == 200:
                    return 200, await answer.json()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            status = 500
    return status, dict(failed)


def _forwarded(request: web.Request) -> dict[str, str]:
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() in FORWARDED or name.lower().startswith("x-b3-")
    }
    if user := request.cookies.get("user"):
        headers["end-user"] = user
    return headers


def _json(answer: Answer) -> web.Response:
    return web.json_response(answer[1], status=answer[0])


def _user_html(user: str) -> str:
    if user:
        return f'{html.escape(user)} <a href="/logout">sign out</a>'
    return (
        '<form method="post" action="/login"><input name="username" placeholder="user name" '
        'aria-label="user name"><button>sign in</button></form>'
    )


def _details_html(status: int, details: dict[str, object]) -> str:
    if status != 200:
        return f'<p class="error">{html.escape(str(details["error"]))}</p>'
    rows = (
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in details.items()
        if name != "id"
    )
    return f"<dl>{''.join(rows)}</dl>"


def _reviews_html(status: int, reviews: dict[str, object]) -> str:
    if status != 200:
        return f'<p class="error">{html.escape(str(reviews["error"]))}</p>'
    said = reviews["reviews"]
    blocks = [_review_html(review) for review in said] if isinstance(said, list) else []
    place = f" on {html.escape(str(reviews['clustername']))}" if reviews.get("clustername") else ""
    served = f'<p class="served">Reviews served by: {html.escape(str(reviews["podname"]))}{place}</p>'
    return "".join(blocks) + served


def _review_html(review: dict[str, object]) -> str:
    rating = review.get("rating")
    stars = ""
    if isinstance(rating, dict):
        if "error" in rating:
            stars = f'<p class="error">{html.escape(str(rating["error"]))}</p>'
        else:
            count, color = int(rating["stars"]), html.escape(str(rating["color"]))
            star = '<span class="glyphicon glyphicon-star">★</span>'
            empty = '<span class="glyphicon glyphicon-star-empty">☆</span>'
            stars = f'<p style="color: {color}">{star * count}{empty * (5 - count)}</p>'
    text, reviewer = html.escape(str(review["text"])), html.escape(str(review["reviewer"]))
    return f"<blockquote><p>{text}</p><small>{reviewer}</small>{stars}</blockquote>"


async def _session(service: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        service[SESSION] = session
        yield


def app(backends: Backends) -> web.Application:
    """The service."""
    service = web.Application()
    service[BACKENDS] = backends
    service.cleanup_ctx.append(_session)
    service.add_routes(
        [
            web.get("/", productpage),
            web.get("/index.html", productpage),
            web.get("/productpage", productpage),
            web.post("/login", login),
            web.get("/logout", logout),
            web.get("/health", health),
            web.get("/api/v1/products", products),
            web.get("/api/v1/products/{product}", product),
            web.get("/api/v1/products/{product}/reviews", product_reviews),
            web.get("/api/v1/products/{product}/ratings", product_ratings),
        ]
    )
    return service


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(app(backends_from_environment()), port=9080, print=None)
