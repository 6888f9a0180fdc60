"""Details v2: the book as a service outside the mesh tells of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

FILE = Path(__file__).parents[3] / "samples" / "bookinfo" / "details" / "app.py"
VOLUME = {
    "authors": ["W. Shakespeare", "Somebody"],
    "publishedDate": "2002",
    "printType": "BOOK",
    "pageCount": 64,
    "publisher": "P",
    "language": "en",
    "industryIdentifiers": [{"type": "ISBN_10", "identifier": "0486424618"}],
}


@pytest.fixture
def details():
    spec = importlib.util.spec_from_file_location("details_app", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def ask(details, answer):
    """What details v2 says where the books' service answers with `answer`."""

    async def volumes(_):
        return answer

    books = web.Application()
    books.add_routes([web.get("/books/v1/volumes", volumes)])
    async with TestServer(books) as far:
        url = str(far.make_url("/books/v1/volumes?q=isbn:1"))
        async with TestClient(TestServer(details.app(url))) as client, client.get("/details/0") as said:
            return said.status, await said.json()


async def test_a_book_from_outside_is_told_in_bookinfos_words(details):
    status, book = await ask(details, web.json_response({"items": [{"volumeInfo": VOLUME}]}))
    assert status == 200
    assert book == {
        "id": 0,
        "author": "W. Shakespeare, Somebody",
        "year": "2002",
        "type": "paperback",
        "pages": 64,
        "publisher": "P",
        "language": "English",
        "ISBN-10": "0486424618",
        "ISBN-13": "",
    }


@pytest.mark.parametrize("said", ['{"items": []}', "no JSON", '{"items": [{"volumeInfo": {}}]}'])
async def test_what_is_no_book_is_the_other_services_fault(details, said):
    status, answer = await ask(details, web.Response(text=said, content_type="application/json"))
    assert (status, answer) == (502, {"error": "could not ask for the book"})


def test_a_sidecar_makes_plain_http_to_port_443_tls(details):
    asks = {"ENABLE_EXTERNAL_BOOK_SERVICE": "true"}
    assert details.books_from_environment({}) == ""
    assert details.books_from_environment(asks).startswith("https://www.googleapis.com/books")
    through = details.books_from_environment({**asks, "WITH_ISTIO": "true"})
    assert through.startswith("http://www.googleapis.com:443/books")
