"""What we say of a script in Lua is what Envoy says of it."""

from __future__ import annotations

import json

import pytest

from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.envoy.descriptors import message_class
from isthmus.envoy.lua import fault
from isthmus.envoy.rules import violations

NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
LUA = "envoy.extensions.filters.http.lua.v3"
TAKEN = ("-- nothing", "function envoy_on_request(h) h:logInfo('é') end", "goto a ::a::", "local x = 1")
REFUSED = {
    "function (": "line 1: '<name>' expected near '('",
    "x = 1\ny =": "line 2: unexpected symbol near '<eof>'",
    "return 1 // 2": "unexpected symbol near '/'",
    "local x <const> = 1": "unexpected symbol near '<'",
}
"""The last two are Lua, but not LuaJIT's."""


def bootstrap(script):
    lua = {"@type": f"type.googleapis.com/{LUA}.Lua", "default_source_code": {"inline_string": script}}
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "route_config": {},
        "http_filters": [{"name": "lua", "typed_config": lua}, {"name": "router", "typed_config": router}],
    }
    listener = {
        "name": "a",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19998}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return json.dumps({"static_resources": {"listeners": [listener]}})


@pytest.mark.parametrize("script", TAKEN)
def test_what_we_take_envoy_takes(script):
    assert fault(script) == ""
    validate(envoy_executable(), bootstrap(script))


@pytest.mark.parametrize(("script", "why"), REFUSED.items())
def test_what_envoy_refuses_we_refuse_and_say_why(script, why):
    assert why in fault(script)
    with pytest.raises(RefusedByEnvoy):
        validate(envoy_executable(), bootstrap(script))


def test_it_is_found_wherever_a_script_stands():
    found = message_class(f"{LUA}.Lua")(inline_code="(")
    found.default_source_code.inline_bytes = b"("
    found.source_codes["a"].inline_string = "("
    paths = [path for path, _ in violations(found)]
    assert paths == ["inline_code", "source_codes['a'].inline_string", "default_source_code.inline_bytes"]


def test_a_script_is_not_run():
    assert fault("while true do end") == ""
