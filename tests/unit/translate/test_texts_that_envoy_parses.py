"""What Envoy says of small texts, it says of them here too: each is tried on the real Envoy."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from fakes.static_envoy import static_bootstrap
from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.envoy.descriptors import pool
from isthmus.envoy.format_string import ALONE, EITHER, WITH_ARGUMENT, format_string
from isthmus.envoy.types import Route, RouteConfiguration, VirtualHost
from isthmus.kit.versioned import Versioned
from isthmus.translate import proto
from isthmus.translate.regex import regex
from isthmus.translate.types import ROUTES, TYPES


def envoy_takes(route):
    host = VirtualHost(name="all", domains=["*"], routes=[route])
    routes = RouteConfiguration(name="80", virtual_hosts=[host])
    resources = {url: [] for url in TYPES} | {ROUTES: [Versioned.of("80", proto.body(routes))]}
    try:
        validate(
            envoy_executable(),
            json_format.MessageToJson(static_bootstrap(resources), descriptor_pool=pool()),
        )
    except RefusedByEnvoy:
        return False
    return True


# Regular expressions


@pytest.mark.parametrize("text", ["/a.*", r"\d+", "(?i)abc", r"a\\1", "(?P<name>x)"])
def test_what_re2_takes_is_left_as_it_is(text):
    assert regex(text).regex == text


@pytest.mark.parametrize("text", ["", "*"])
def test_nothing_and_a_star_are_anything(text):
    assert regex(text).regex == ".*"


REFUSED_REGEXES = [
    *("a(?=b)", "(?!x)", "(?<=a)b", r"(a)\1", "(", "a{2,1}", "[z-a]", "a++", "a{1001}", "(?#x)a", "(?u)a"),
    *(r"\Z", r"\u1234", "[[:foo:]]", "(?P<n>a)(?P=n)", "((a{100}){100}){100}", "a{1000}" * 33),
]


@pytest.mark.parametrize("text", REFUSED_REGEXES)
def test_what_envoy_refuses_is_found(text):
    with pytest.raises(ValueError, match="regex"):
        regex(text)


def test_envoy_takes_and_refuses_the_same_regexes():
    def taken(text):
        route = Route(match={"safe_regex": {"regex": text}}, route={"cluster": "xds-grpc"})
        return envoy_takes(route)

    assert taken("a{1000}" * 32)
    assert taken(r"\p{Greek}|\Qa++\E|\z")
    assert [text for text in REFUSED_REGEXES if taken(text)] == []


# Format strings


@pytest.mark.parametrize("text", ["", "100%%", "%REQ(a):10%", "%START_TIME(%Y-%m)%", "x%PROTOCOL%y", "é"])
def test_format_strings_that_envoy_takes(text):
    assert format_string(text) == text
    assert envoy_takes(_with_header(text))


@pytest.mark.parametrize("text", ["%", "50%", "%%%", "%FOO%", "%REQ(", "%REQ%", "%PROTOCOL(x)%", "%req(a)%"])
def test_format_strings_that_envoy_refuses_are_found(text):
    with pytest.raises(ValueError, match="%"):
        format_string(text)
    assert not envoy_takes(_with_header(text))


def test_envoy_knows_every_command_that_we_let_pass():
    words = [f"%{word}%" for word in ALONE | EITHER]
    words += [
        f"%{word}({'DS_RX_BEG:DS_RX_END' if 'DURATION' in word else 'x'})%" for word in WITH_ARGUMENT | EITHER
    ]
    assert envoy_takes(_with_header("".join(sorted(words))))


def _with_header(value):
    route = Route(match={"prefix": "/"}, route={"cluster": "xds-grpc"})
    route.request_headers_to_add.add(header={"key": "a", "value": value})
    return route
