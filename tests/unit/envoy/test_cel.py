"""What we say of CEL is what Envoy says of it."""

from __future__ import annotations

import pytest

from fakes.static_envoy import bootstrap_with_cel
from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.envoy.cel import problem_of

TAKEN = (
    "response.code >= 500",
    'response.code >= 400 && request.url_path != "/healthz"',
    "has(request.headers.foo) || !connection.mtls",
    'request.headers["x-a"] in ["a", \'b\']',
    'request.path.startsWith("/a") ? true : response.flags != 0',
    r'request.path.matches("^/a\\d+$") && size(request.path) > 3',
    'request.time.getHours("UTC") < 8',
    "a.b[0].c == -9223372036854775808",
    r"'\x41\u0041\101' == r'a\qb' + b'c' // said",
    "true",
    " || ".join(["a"] * 100),
)
REFUSED = {
    "response.code >=": "it ends too early at character 17",
    "a b": "'b' at character 3",
    "": "it ends too early",
    "foo(1)": "calls foo()",
    "[1, 2].exists(x, x > 1)": "goes over a list or map",
    "string(1)": "calls string()",
    "size(a, 1)": "calls size() with 2 arguments",
    'a.matches("(")': "no regular expression of RE2",
    r'"\q"': "at character 1",
    "18446744073709551616u": "invalid uint literal",
    "package.x": "reserved identifier: package",
    "Pair{a: 1}": "makes a message, Pair",
    "has(a)": "must be a field selection",
    "a & b": "'& ' at character 3",
    "+".join(["a"] * 40): "in each other",
    "(" * 40 + "a" + ")" * 40: "in each other",
}


def test_what_we_take_envoy_takes():
    assert [problem_of(each) for each in TAKEN] == [""] * len(TAKEN)
    validate(envoy_executable(), bootstrap_with_cel(*TAKEN))


@pytest.mark.parametrize(("expression", "why"), REFUSED.items())
def test_what_envoy_refuses_we_refuse_and_say_why(expression, why):
    assert why in problem_of(expression)
    with pytest.raises(RefusedByEnvoy):
        validate(envoy_executable(), bootstrap_with_cel(expression))
