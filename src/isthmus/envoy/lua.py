"""Scripts in Lua as Envoy loads them: LuaJIT's own parser says whether it would.

They are read here and never run: what a script does while it is loaded, Envoy alone sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import cast

from google.protobuf.message import Message
from lupa.luajit21 import LuaRuntime, LuaSyntaxError

_WHERE = '[string "<python>"]:'  # how LuaJIT calls a script that is no file


@lru_cache(maxsize=1024)
def fault(script: str) -> str:
    """Why Envoy would not load `script`; empty where it would."""
    try:
        _reader().compile(script)
    except LuaSyntaxError as error:
        return f"is no script in Lua: line {str(error).removeprefix(_WHERE)}"
    return ""


@cache
def _reader() -> LuaRuntime:
    return LuaRuntime(register_eval=False, register_builtins=False)


def _in_fields(*names: str) -> Callable[[Message], Iterator[tuple[str, str]]]:
    """A look at scripts in fields of these names: text, a source of it, or sources by name."""

    def faults(message: Message) -> Iterator[tuple[str, str]]:
        for name in names:
            for path, script in _scripts(name, getattr(message, name)):
                if wrong := fault(script):
                    yield path, wrong

    return faults


def _scripts(name: str, value: str | Message | Mapping[str, Message]) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Message):
        source = cast(Mapping[str, str | bytes], {field.name: each for field, each in value.ListFields()})
        yield f"{name}.inline_string", str(source.get("inline_string", ""))
        yield f"{name}.inline_bytes", bytes(cast(bytes, source.get("inline_bytes", b""))).decode("latin-1")
    else:
        for key in value:
            yield from ((f"{name}[{key!r}]{path}", text) for path, text in _scripts("", value[key]))


FAULTS: Mapping[str, Callable[[Message], Iterator[tuple[str, str]]]] = {
    "envoy.extensions.filters.http.lua.v3.Lua": _in_fields(
        "inline_code", "source_codes", "default_source_code"
    ),
    "envoy.extensions.filters.http.lua.v3.LuaPerRoute": _in_fields("source_code"),
    "envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig": _in_fields("source_code"),
}
"""By the full name of a message what is wrong with the scripts in it: path and rule."""
