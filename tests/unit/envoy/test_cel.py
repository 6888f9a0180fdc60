"""What we say of CEL is what Envoy says of it."""

from __future__ import annotations

import json

import pytest

from isthmus.envoy.binary import NoEnvoy, RefusedByEnvoy, envoy_executable, validate
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
    "response.code >=": "it ends",
    "a b": "'b' at character 3",
    "": "it ends",
    "foo(1)": "calls foo()",
    "[1, 2].exists(x, x > 1)": "calls exists()",
    "string(1)": "calls string()",
    "size(a, 1)": "calls size() with 2 arguments",
    'a.matches("(")': "no regular expression",
    r'"\q"': "backslash",
    "18446744073709551616u": "too large",
    "package.x": "keeps for itself",
    "has(a)": "asks for a field",
    "a & b": "'&'",
    "+".join(["a"] * 40): "in each other",
    "(" * 40 + "a" + ")" * 40: "in each other",
}


def bootstrap(*expressions: str) -> str:
    kind = "type.googleapis.com/envoy.extensions"
    logs = [
        {
            "name": "log",
            "filter": {
                "extension_filter": {
                    "name": "cel",
                    "typed_config": {
                        "@type": f"{kind}.access_loggers.filters.cel.v3.ExpressionFilter",
                        "expression": each,
                    },
                }
            },
            "typed_config": {"@type": f"{kind}.access_loggers.file.v3.FileAccessLog", "path": "/dev/null"},
        }
        for each in expressions
    ]
    proxy = {
        "@type": f"{kind}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "a",
        "cluster": "b",
        "access_log": logs,
    }
    listener = {
        "name": "a",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19999}},
        "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}],
    }
    upstream = {"name": "b", "type": "STATIC", "connect_timeout": "1s"}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [upstream]}})


@pytest.fixture(scope="module")
def envoy():
    try:
        return envoy_executable()
    except NoEnvoy as error:
        pytest.skip(f"no Envoy: {error}")


def test_what_we_take_envoy_takes(envoy):
    assert [problem_of(each) for each in TAKEN] == [""] * len(TAKEN)
    validate(envoy, bootstrap(*TAKEN))


@pytest.mark.parametrize(("expression", "why"), REFUSED.items())
def test_what_envoy_refuses_we_refuse_and_say_why(envoy, expression, why):
    assert why in problem_of(expression)
    with pytest.raises(RefusedByEnvoy):
        validate(envoy, bootstrap(expression))
