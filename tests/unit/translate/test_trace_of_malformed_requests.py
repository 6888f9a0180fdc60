"""What is no request, over HTTP/1.1 and over HTTP/2: the one is answered with 400, the stream of the other reset."""

from __future__ import annotations

import pytest

from isthmus.translate.trace.call import Call, Request, Speech
from isthmus.translate.trace.steps import Answer, Closed
from isthmus.translate.trace.well_formed import malformed


def ending(speech, seen="/", **said):
    request = Request(**{"host": "shop.example.com", **said})
    return malformed(Call(address="10.0.0.1", port=80, speech=speech, request=request), seen)


@pytest.mark.parametrize(
    ("said", "over_1", "over_2"),
    [
        ({}, None, None),
        ({"method": "PURGE"}, None, None),
        ({"method": "FETCH"}, Answer, None),
        ({"method": "a b"}, Answer, Closed),
        ({"method": "alpha:80"}, Answer, Closed),
        ({"host": "a/b"}, Answer, Closed),
        ({"method": "CONNECT", "path": ""}, Answer, None),
        ({"method": "CONNECT", "path": "", "host": "shop.example.com:80"}, None, None),
        ({"method": "OPTIONS", "path": "*"}, None, None),
        ({"path": "a"}, None, Closed),
        ({"path": "/a b"}, None, Closed),
    ],
    ids=str,
)
def test_what_is_no_request_is_refused_as_envoy_does(said, over_1, over_2):
    found = [ending(speech, **said) for speech in (Speech.HTTP1, Speech.HTTP2)]
    assert [type(each) if each is not None else None for each in found] == [over_1, over_2]


@pytest.mark.parametrize("speech", [Speech.HTTP1, Speech.HTTP2])
def test_a_path_that_is_none_to_routes_is_answered_with_400(speech):
    assert ending(speech, seen=None).status == 400
